//! The contract's own bytecode, in this process: an EVM with the escrow and a token.

use ethers_core::abi::{Abi, Token};
use ethers_core::types::{H160, U256 as Word};
use revm::context::TxEnv;
use revm::context::result::{EVMError, ExecutionResult, InvalidTransaction, Output};
use revm::database::{Database, InMemoryDB};
use revm::handler::{MainnetContext, MainnetEvm};
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, Bytes, Log, TxKind, U256};
use revm::state::{AccountInfo, Bytecode};
use revm::{Context, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext};
use sdpp_ledger::{Account, Amount, Asset, Channel, ChannelId, Domain, Row, keccak};
use std::collections::HashMap;

const ESCROW: &str = include_str!("../../../../contracts/ethereum/SdppEscrow.json");
const TOKEN: &str = include_str!("../../../../contracts/ethereum/TestToken.json");

/// Whoever puts the token on the chain; takes no other part.
const DEPLOYER: Address = Address::repeat_byte(0xde);

/// A chain with a token, and later the escrow.
pub struct Chain {
    evm: MainnetEvm<MainnetContext<InMemoryDB>>,
    escrow: Artifact,
    token: Artifact,
    token_at: Address,
    escrow_at: Address,
}

struct Artifact {
    abi: Abi,
    bytecode: Vec<u8>,
    /// The errors' names by their selectors.
    errors: HashMap<[u8; 4], String>,
}

impl Chain {
    /// A chain with nothing but the token.
    pub fn new(chain_id: u64) -> Chain {
        let context = Context::mainnet().with_db(InMemoryDB::default());
        let context = context.modify_cfg_chained(|cfg| {
            cfg.set_spec_and_mainnet_gas_params(SpecId::CANCUN);
            cfg.chain_id = chain_id;
            cfg.disable_nonce_check = true;
        });
        let mut chain = Chain {
            evm: context.build_mainnet(),
            escrow: Artifact::read(ESCROW),
            token: Artifact::read(TOKEN),
            token_at: Address::ZERO,
            escrow_at: Address::ZERO,
        };
        let args = [
            Token::String("Test".to_owned()),
            Token::String("T".to_owned()),
            Token::Uint(6.into()),
            Token::Address(H160::repeat_byte(0xde)),
            Token::Uint(0.into()),
        ];
        let made = chain.transact(DEPLOYER, TxKind::Create, chain.token.init(&args), 0).unwrap();
        chain.token_at = made.created_address().unwrap();
        chain
    }

    /// The token's name as an asset.
    pub fn token(&self) -> Asset {
        text(self.token_at).parse().unwrap()
    }

    /// Puts the escrow where a domain says that it is, so that ids and vouchers are the same bytes
    /// there and here: its constructor runs as that account's code, and what it returns stays.
    pub fn found_escrow(&mut self, domain: &Domain, grace_s: u64) {
        self.escrow_at = address(&domain.contract);
        let init = self.escrow.init(&[Token::Uint(grace_s.into())]);
        self.put_code(init);
        let made = self.transact(DEPLOYER, TxKind::Call(self.escrow_at), Vec::new(), 0).unwrap();
        let ExecutionResult::Success { output: Output::Call(code), .. } = made else {
            panic!("the constructor ended with {made:?}");
        };
        self.put_code(code.to_vec());
    }

    /// Gives an account coin and token, all of the latter open to the escrow.
    pub fn endow(&mut self, account: &Account, amount: u128) {
        let info = AccountInfo::from_balance(U256::from(amount));
        self.evm.ctx.journaled_state.database.insert_account_info(address(account), info);
        let mint = [word(account), Token::Uint(amount.into())];
        self.call_token(DEPLOYER, "mint", &mint);
        let approve = [Token::Address(h160(self.escrow_at)), Token::Uint(Word::MAX)];
        self.call_token(address(account), "approve", &approve);
    }

    /// What time the blocks from now on have, in seconds since 1970 UTC.
    pub fn set_time(&mut self, now_s: u64) {
        self.evm.ctx.block.timestamp = U256::from(now_s);
    }

    /// Calls the escrow. `Err` is the name of its error, or `InsufficientFunds` where the caller
    /// has not the coin that it would have to send.
    pub fn call(
        &mut self,
        from: &Account,
        function: &str,
        args: &[Token],
        value: u128,
    ) -> Result<Vec<Log>, String> {
        let data = self.escrow.encode(function, args);
        let to = TxKind::Call(self.escrow_at);
        let outcome = match self.transact(address(from), to, data.clone(), value) {
            // A chain does not even take it; which error the call would meet before the money is
            // looked at shows if it sends none.
            None => self.transact(address(from), to, data, 0).unwrap(),
            Some(outcome) => outcome,
        };
        match outcome {
            ExecutionResult::Success { logs, .. } => Ok(logs),
            ExecutionResult::Revert { output, .. } => Err(self.escrow.error(&output)),
            halt @ ExecutionResult::Halt { .. } => panic!("{function} ended with {halt:?}"),
        }
    }

    /// What became of a batch's rows that were passed over, in order.
    pub fn skipped(&self, logs: &[Log]) -> Vec<Row> {
        let topic = self.escrow.abi.event("RowSkipped").unwrap().signature();
        let skipped = logs.iter().filter(|log| log.data.topics()[0].0 == topic.0);
        skipped
            .map(|log| Row {
                channel: ChannelId(log.data.topics()[1].0),
                amount: Amount::ZERO,
                refused: Some(self.escrow.error(&log.data.data[32..36])),
            })
            .collect()
    }

    /// What an account has of the coin or of the token.
    pub fn balance(&mut self, account: &Account, asset: &Asset) -> Amount {
        if *asset == Asset::coin() {
            let info = self.evm.ctx.journaled_state.database.basic(address(account)).unwrap();
            return Amount::new(info.unwrap_or_default().balance.try_into().unwrap());
        }
        let data = self.token.encode("balanceOf", &[word(account)]);
        let answer = self.ask(self.token_at, data);
        Amount::new(U256::from_be_slice(&answer).try_into().unwrap())
    }

    /// A channel as the contract tells it.
    pub fn channel(&mut self, id: &ChannelId) -> Option<Channel> {
        let data = self.escrow.encode("getChannel", &[bytes32(&id.0)]);
        let answer = self.ask(self.escrow_at, data);
        let field = |i: usize| &answer[32 * i..32 * (i + 1)];
        let account = |i: usize| text(Address::from_slice(&field(i)[12..]));
        let number = |i: usize| -> u128 { U256::from_be_slice(field(i)).try_into().unwrap() };
        let named = |i: usize| number_of(field(i)) != U256::ZERO;
        if !named(0) {
            return None;
        }
        let seconds = u64::try_from(number(6)).unwrap();
        Some(Channel {
            payer: account(0).parse().unwrap(),
            payee: account(1).parse().unwrap(),
            asset: if named(2) { account(2).parse().unwrap() } else { Asset::coin() },
            signer: account(if named(3) { 3 } else { 0 }).parse().unwrap(),
            deposit: Amount::new(number(4)),
            settled: Amount::new(number(5)),
            close_requested_ms: (seconds != 0).then_some(seconds * 1_000),
            finalized: named(7),
        })
    }

    fn call_token(&mut self, from: Address, function: &str, args: &[Token]) {
        let data = self.token.encode(function, args);
        let done = self.transact(from, TxKind::Call(self.token_at), data, 0).unwrap();
        assert!(done.is_success(), "{function}: {done:?}");
    }

    /// One transaction in a block of its own, without fees; `None` where the coin is not there.
    fn transact(
        &mut self,
        from: Address,
        to: TxKind,
        data: Vec<u8>,
        value: u128,
    ) -> Option<ExecutionResult> {
        match self.evm.transact_commit(self.tx(from, to, data, value)) {
            Err(EVMError::Transaction(InvalidTransaction::LackOfFundForMaxFee { .. })) => None,
            done => Some(done.unwrap()),
        }
    }

    fn ask(&mut self, to: Address, data: Vec<u8>) -> Bytes {
        let tx = self.tx(DEPLOYER, TxKind::Call(to), data, 0);
        self.evm.transact(tx).unwrap().result.into_output().unwrap()
    }

    fn tx(&self, from: Address, to: TxKind, data: Vec<u8>, value: u128) -> TxEnv {
        let chain_id = Some(self.evm.ctx.cfg.chain_id);
        let tx = TxEnv::builder().caller(from).kind(to).data(data.into()).value(U256::from(value));
        tx.gas_limit(10_000_000).chain_id(chain_id).build().unwrap()
    }

    fn put_code(&mut self, code: Vec<u8>) {
        let info = AccountInfo::from_bytecode(Bytecode::new_legacy(code.into()));
        self.evm.ctx.journaled_state.database.insert_account_info(self.escrow_at, info);
    }
}

impl Artifact {
    fn read(json: &str) -> Artifact {
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        let abi: Abi = serde_json::from_value(json["abi"].clone()).unwrap();
        let bytecode = json["bytecode"].as_str().unwrap().strip_prefix("0x").unwrap();
        let names = abi.errors.keys();
        let selector = |name: &String| {
            let digest = keccak(&[name.as_bytes(), b"()"]).0;
            ([digest[0], digest[1], digest[2], digest[3]], name.clone())
        };
        Artifact {
            errors: names.map(selector).collect(),
            bytecode: hex::decode(bytecode).unwrap(),
            abi,
        }
    }

    /// The bytes that put it on a chain.
    fn init(&self, args: &[Token]) -> Vec<u8> {
        self.abi.constructor().unwrap().encode_input(self.bytecode.clone(), args).unwrap()
    }

    fn encode(&self, function: &str, args: &[Token]) -> Vec<u8> {
        self.abi.function(function).unwrap().encode_input(args).unwrap()
    }

    fn error(&self, selector: &[u8]) -> String {
        let known = <[u8; 4]>::try_from(selector).ok().and_then(|four| self.errors.get(&four));
        known.unwrap_or_else(|| panic!("no error {}", hex::encode(selector))).clone()
    }
}

/// An account as an argument.
pub fn word(account: &Account) -> Token {
    Token::Address(h160(address(account)))
}

/// 32 bytes as an argument.
pub fn bytes32(bytes: &[u8; 32]) -> Token {
    Token::FixedBytes(bytes.to_vec())
}

fn number_of(field: &[u8]) -> U256 {
    U256::from_be_slice(field)
}

fn address(account: &Account) -> Address {
    account.as_str().parse().unwrap()
}

fn h160(address: Address) -> H160 {
    H160(address.into_array())
}

fn text(address: Address) -> String {
    format!("0x{}", hex::encode(address))
}
