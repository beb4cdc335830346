//! `sdpp keys`: the encrypted keystore. Secrets come from files, variables, standard input or a
//! terminal, never from an argument, which every user of the machine can read; none is printed.

use super::exit::{Failure, Outcome};
use super::out;
use crate::keystore::{self, KeyFrom, Listed, PasswordFrom};
use clap::{Args, Subcommand};
use sdpp_ledger::{Account, PublicKey};
use serde::Serialize;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Make, show, import and list keys, encrypted at rest.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp keys new seller --dir keys --password file:password")]
pub(super) struct Keys {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    New(New),
    Import(Import),
    Show(Show),
    List(List),
}

/// Make a new random key.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp keys new seller --password env:SDPP_PASSWORD")]
struct New {
    #[command(flatten)]
    key: Named,
    #[command(flatten)]
    password: PasswordArg,
}

/// Import a secret key, 64 hex digits, from standard input or a file.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp keys import seller --file secret.hex")]
struct Import {
    #[command(flatten)]
    key: Named,
    #[command(flatten)]
    password: PasswordArg,
    /// The file that holds the key; others must not be able to read it. Standard input if not said.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
}

/// Show a key's public half and account. Needs no password.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp keys show seller --dir keys")]
struct Show {
    #[command(flatten)]
    key: Named,
}

/// List all keys. Needs no password.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp keys list --dir keys --json")]
struct List {
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct Named {
    /// The key's name: 1 to 64 of a-z, 0-9, _ and -.
    name: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct Place {
    /// The keystore's folder.
    #[arg(long, value_name = "DIR", default_value = "keys")]
    dir: PathBuf,
    /// Answer with JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct PasswordArg {
    /// Where the password is: env:NAME, file:PATH, or prompt.
    #[arg(long, value_name = "WHERE", default_value = "prompt")]
    password: String,
}

/// A key as it is shown.
#[derive(Serialize)]
struct Shown {
    name: String,
    public_key: Option<PublicKey>,
    account: Option<Account>,
}

impl Keys {
    pub(super) fn run(self) -> Outcome {
        match self.verb {
            Verb::New(New { key, password }) => {
                let password = password.meant()?.read_new("Password for the new key: ")?;
                let public = keystore::new(&key.place.dir, &key.name, &password)?;
                key.made(public)
            }
            Verb::Import(Import { key, password, file }) => {
                let secret = secret(file.as_deref())?;
                let password = password.meant()?.read_new("Password for the imported key: ")?;
                let public = keystore::import(&key.place.dir, &key.name, &secret, &password)?;
                key.made(public)
            }
            Verb::Show(Show { key }) => key.show(),
            Verb::List(List { place }) => place.list(),
        }
    }
}

impl Named {
    fn made(self, public: PublicKey) -> Outcome {
        let (name, account) = (self.name, Some(public.account()));
        self.place.print(&Shown { name, public_key: Some(public), account })
    }

    fn show(self) -> Outcome {
        let dir = &self.place.dir;
        let mut listed = keystore::list(dir)?.into_iter();
        let Some(found) = listed.find(|listed| listed.name == self.name) else {
            let (name, dir) = (self.name, dir.clone());
            return Err(keystore::KeystoreError::Missing { name, dir }.into());
        };
        self.place.print(&found.into())
    }
}

impl Place {
    fn list(self) -> Outcome {
        let listed = keystore::list(&self.dir)?.into_iter().map(Shown::from);
        if self.json {
            return listed.into_iter().try_for_each(|shown| out::json(&shown));
        }
        let heading = ["NAME", "PUBLIC KEY", "ACCOUNT"].map(str::to_owned);
        let rows = listed.map(|shown| [shown.name.clone(), shown.public(), shown.account()]);
        out::table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>())
    }

    fn print(&self, shown: &Shown) -> Outcome {
        if self.json {
            return out::json(shown);
        }
        out::line(format!("name        {}", shown.name))?;
        out::line(format!("public key  {}", shown.public()))?;
        out::line(format!("account     {}", shown.account()))
    }
}

impl From<Listed> for Shown {
    fn from(Listed { name, public, account }: Listed) -> Self {
        Shown { name, public_key: public, account }
    }
}

impl Shown {
    fn public(&self) -> String {
        let unknown = || "not in the file: another tool made it".to_owned();
        self.public_key.as_ref().map_or_else(unknown, PublicKey::to_string)
    }

    fn account(&self) -> String {
        self.account.as_ref().map_or_else(|| "not in the file".to_owned(), Account::to_string)
    }
}

impl PasswordArg {
    /// What is wrong is not repeated: it may be the password itself.
    fn meant(&self) -> Outcome<PasswordFrom> {
        match self.password.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(PasswordFrom::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(PasswordFrom::File(path.into())),
            None if self.password == "prompt" => Ok(PasswordFrom::Prompt),
            _ => Err(Failure::usage(
                "--password says where the password is, not what it is: write env:NAME, \
                 file:PATH or prompt. One that stood here has been in the open: choose another",
            )),
        }
    }
}

fn secret(file: Option<&Path>) -> Outcome<sdpp_ledger::Key> {
    match file {
        Some(path) => Ok(KeyFrom::File(path.to_owned()).open()?),
        None if std::io::stdin().is_terminal() => Err(Failure::usage(
            "a key that is typed is shown on the screen: write --file PATH, or `< PATH`",
        )),
        None => Ok(keystore::read_secret(std::io::stdin(), "standard input")?),
    }
}
