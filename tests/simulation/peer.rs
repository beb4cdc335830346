//! One session's core on one side, and what its shell has of it.

use crate::setup::{ADDRESS, file};
use sdpp::record::{End, Record};
use sdpp::session::{Buyer, Input, Output, Progress, Seller};
use sdpp::terms::{Role, SessionId};
use std::collections::VecDeque;

pub struct Peer {
    pub node: usize,
    pub core: Core,
    pub line: Option<u64>,
    pub session: Option<SessionId>,
    /// What a buyer was sent for.
    pub errand: Option<usize>,
    /// When its core is told of the time.
    pub timer_ms: Option<u64>,
    /// How many items its source gave.
    pub given: u64,
    pub is_fed: bool,
    /// Records are on their way to the disk: its core is told on, and nothing is asked of it.
    pub is_writing: bool,
    /// What its present epoch's key was drawn as.
    pub drawn: [u8; 32],
}

/// A core of either side.
pub enum Core {
    Seller(Box<Seller>),
    Buyer(Box<Buyer>),
}

impl Core {
    pub fn role(&self) -> Role {
        match self {
            Core::Seller(_) => Role::Seller,
            Core::Buyer(_) => Role::Buyer,
        }
    }

    pub fn handle(&mut self, input: Input<'_>, now_ms: u64) {
        match self {
            Core::Seller(seller) => seller.handle(input, now_ms),
            Core::Buyer(buyer) => buyer.handle(input, now_ms),
        }
    }

    pub fn poll(&mut self) -> Option<Output> {
        match self {
            Core::Seller(seller) => seller.poll(),
            Core::Buyer(buyer) => buyer.poll(),
        }
    }

    pub fn peek(&self) -> Option<&Output> {
        match self {
            Core::Seller(seller) => seller.peek(),
            Core::Buyer(buyer) => buyer.peek(),
        }
    }

    pub fn poll_record(&mut self) -> Option<Output> {
        match self {
            Core::Seller(seller) => seller.poll_record(&|_| true),
            Core::Buyer(buyer) => buyer.poll_record(&|_| true),
        }
    }

    pub fn poll_timeout(&self) -> Option<u64> {
        match self {
            Core::Seller(seller) => seller.poll_timeout(),
            Core::Buyer(buyer) => buyer.poll_timeout(),
        }
    }

    pub fn handle_timeout(&mut self, now_ms: u64) {
        match self {
            Core::Seller(seller) => seller.handle_timeout(now_ms),
            Core::Buyer(buyer) => buyer.handle_timeout(now_ms),
        }
    }
}

impl Peer {
    pub fn new(node: usize, core: Core, line: Option<u64>) -> Peer {
        Peer {
            node,
            core,
            line,
            session: None,
            errand: None,
            timer_ms: None,
            given: 0,
            is_fed: false,
            is_writing: false,
            drawn: [0; 32],
        }
    }

    /// What is written with a record: where a buyer's items go.
    pub fn beside(&self, record: &Record) -> Option<Box<Record>> {
        let (address, file) = (ADDRESS.to_owned(), Some(file(self.errand?)));
        let is_order = matches!(record, Record::Order { .. });
        is_order.then(|| Box::new(Record::Delivering { address, file }))
    }

    pub fn seller(&mut self) -> Option<&mut Seller> {
        match &mut self.core {
            Core::Seller(seller) => Some(seller),
            Core::Buyer(_) => None,
        }
    }
}

/// How a session ended on one side, where its core said so.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub session: Option<SessionId>,
    pub role: Role,
    pub end: End,
    pub why: String,
    pub progress: Progress,
}

/// A connection. Bytes arrive in order, in any pieces, later; and where it is cut, some never do.
#[derive(Default)]
pub struct Line {
    ways: [Way; 2],
    pub is_cut: bool,
}

/// One direction, named by who sends.
#[derive(Default)]
pub struct Way {
    pub bytes: VecDeque<u8>,
    /// Who reads it.
    pub reader: Option<u64>,
    /// Nothing more is written.
    pub is_over: bool,
    pub is_told: bool,
}

impl Line {
    pub fn way(&mut self, from: Role) -> &mut Way {
        &mut self.ways[usize::from(from == Role::Buyer)]
    }
}
