//! A wire that stays where it is while the programs at its far end come and go, and that can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// An address that leads to another one.
pub struct Relay {
    pub address: String,
    shared: Arc<Mutex<Shared>>,
}

/// Whether the far end has to wait with what it says.
type Holds = Arc<dyn Fn() -> bool + Send + Sync>;

/// How often is looked whether it still has to.
const LOOK_EVERY: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Shared {
    /// Where it leads; nowhere from the beginning, and once it is dropped.
    to: Option<String>,
    is_over: bool,
    holds: Option<Holds>,
    /// The ends of what it carries or has carried.
    ends: Vec<TcpStream>,
}

impl Relay {
    /// Leads nowhere yet.
    pub fn new() -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::<Mutex<Shared>>::default();
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let mut shared = accepting.lock().unwrap();
                if shared.is_over {
                    return;
                }
                // Who is not there refuses, and so does this.
                let Some(Ok(far)) = shared.to.as_ref().map(TcpStream::connect) else { continue };
                shared.carry(near.unwrap(), far);
            }
        });
        Relay { address, shared }
    }

    /// From here on whoever connects comes here.
    pub fn leads_to(&self, address: &str) {
        self.shared.lock().unwrap().to = Some(address.to_owned());
    }

    /// From the next connection on, what the far end says waits for as long as this is so.
    pub fn hold_while(&self, is_so: impl Fn() -> bool + Send + Sync + 'static) {
        self.shared.lock().unwrap().holds = Some(Arc::new(is_so));
    }

    /// Breaks all that it carries now.
    pub fn cut(&self) {
        for end in self.shared.lock().unwrap().ends.drain(..) {
            // It may be gone already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
        self.shared.lock().unwrap().is_over = true;
        // Wakes the thread that waits for the next connection.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn carry(&mut self, near: TcpStream, far: TcpStream) {
        for end in [&near, &far] {
            end.set_nodelay(true).unwrap();
            self.ends.push(end.try_clone().unwrap());
        }
        let (back_from, back_to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
        let holds = self.holds.clone();
        std::thread::spawn(move || copy(near, far, None));
        std::thread::spawn(move || copy(back_from, back_to, holds));
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, holds: Option<Holds>) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        while holds.as_ref().is_some_and(|holds| holds()) {
            std::thread::sleep(LOOK_EVERY);
        }
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    for end in [from, to] {
        // It may be gone already.
        let _ = end.shutdown(Shutdown::Both);
    }
}
