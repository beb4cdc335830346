//! Readings of this machine: processor, memory, network, temperature. Needs no hardware, so it
//! is what the demo sells.

use super::{Batch, Item, SourceError, WhenSlow};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};
use sysinfo::{Components, Networks, System};
use tokio::time::{Instant, sleep_until};

/// A sensor of this machine and how often it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Which.
    pub sensor: Sensor,
    /// The time between two readings; see [`Sensor::interval_min`].
    pub interval: Duration,
    /// Whether readings that nobody could take are missed or put off.
    pub when_slow: WhenSlow,
}

/// What can be read of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensor {
    /// `cpu_load_percent`: all processors together, since the last reading.
    CpuLoad,
    /// `memory_used_bytes` and `memory_total_bytes`.
    Memory,
    /// `network_received_bytes` and `network_sent_bytes` of all interfaces since the last reading.
    Network,
    /// `temperature_celsius` of the hottest `component`.
    Temperature,
}

impl Sensor {
    /// Its name in the config.
    pub fn name(self) -> &'static str {
        match self {
            Sensor::CpuLoad => "cpu_load",
            Sensor::Memory => "memory",
            Sensor::Network => "network",
            Sensor::Temperature => "temperature",
        }
    }

    /// The shortest interval at which a new reading says something new.
    pub fn interval_min(self) -> Duration {
        match self {
            Sensor::CpuLoad => sysinfo::MINIMUM_CPU_UPDATE_INTERVAL,
            _ => Duration::from_millis(10),
        }
    }
}

impl Host {
    pub(super) fn open(&self) -> Result<Open, SourceError> {
        let mut probe = Probe::new(self.sensor);
        // The first reading says what there is and is where the first interval begins.
        if probe.read().is_none() {
            return Err(SourceError::NoSensor { sensor: self.sensor.name() });
        }
        Ok(Open {
            probe,
            interval: self.interval,
            when_slow: self.when_slow,
            due: Instant::now() + self.interval,
            skipped: 0,
        })
    }
}

/// A sensor that is being read.
#[derive(Debug)]
pub(super) struct Open {
    probe: Probe,
    interval: Duration,
    when_slow: WhenSlow,
    due: Instant,
    skipped: u64,
}

impl Open {
    /// One reading: the interval, not the credit, says how many there are.
    pub(super) async fn next(&mut self) -> Batch {
        loop {
            self.pass_over_what_was_missed();
            sleep_until(self.due).await;
            self.due += self.interval;
            if let Some(reading) = self.probe.read() {
                return Batch::Items(vec![reading]);
            }
            // The sensor was there when the source was opened and is away for now.
            self.skipped += 1;
        }
    }

    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// A reading that is late by less than an interval is taken at once: it is fresh.
    fn pass_over_what_was_missed(&mut self) {
        let late = Instant::now().saturating_duration_since(self.due);
        match self.when_slow {
            WhenSlow::Wait if !late.is_zero() => self.due += late,
            WhenSlow::Wait => {}
            WhenSlow::Skip => {
                let missed = late.as_nanos() / self.interval.as_nanos().max(1);
                // More than 2^32 readings were missed only by a clock that is broken.
                let missed = u32::try_from(missed).unwrap_or(u32::MAX);
                self.due += self.interval * missed;
                self.skipped += u64::from(missed);
            }
        }
    }
}

#[derive(Debug)]
enum Probe {
    CpuLoad(Box<System>),
    Memory(Box<System>),
    Network(Networks),
    Temperature(Components),
}

impl Probe {
    fn new(sensor: Sensor) -> Self {
        match sensor {
            Sensor::CpuLoad => Probe::CpuLoad(Box::new(System::new())),
            Sensor::Memory => Probe::Memory(Box::new(System::new())),
            Sensor::Network => Probe::Network(Networks::new_with_refreshed_list()),
            Sensor::Temperature => Probe::Temperature(Components::new_with_refreshed_list()),
        }
    }

    /// A reading as an item, or `None` where there is nothing to read.
    fn read(&mut self) -> Option<Item> {
        let at = humantime::format_rfc3339_millis(SystemTime::now());
        let reading = match self {
            Probe::CpuLoad(system) => {
                system.refresh_cpu_usage();
                let load = system.global_cpu_usage();
                (!system.cpus().is_empty()).then(|| format!(r#""cpu_load_percent":{load:.1}"#))
            }
            Probe::Memory(system) => {
                system.refresh_memory();
                let (used, total) = (system.used_memory(), system.total_memory());
                (total > 0)
                    .then(|| format!(r#""memory_used_bytes":{used},"memory_total_bytes":{total}"#))
            }
            Probe::Network(networks) => traffic(networks),
            Probe::Temperature(components) => hottest(components),
        };
        let line = format!(r#"{{"at":"{at}",{}}}"#, reading?);
        Item::new(line.into_bytes(), usize::MAX, String::new).ok()
    }
}

fn traffic(networks: &mut Networks) -> Option<String> {
    networks.refresh(true);
    let received: u64 = networks.values().map(|network| network.received()).sum();
    let sent: u64 = networks.values().map(|network| network.transmitted()).sum();
    (!networks.is_empty())
        .then(|| format!(r#""network_received_bytes":{received},"network_sent_bytes":{sent}"#))
}

fn hottest(components: &mut Components) -> Option<String> {
    components.refresh(false);
    let (celsius, label) = components
        .iter()
        .filter_map(|component| Some((component.temperature()?, component.label())))
        .filter(|(celsius, _)| celsius.is_finite())
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    let label = serde_json::Value::from(label);
    Some(format!(r#""temperature_celsius":{celsius:.1},"component":{label}"#))
}
