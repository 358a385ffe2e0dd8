//! `nexus trash`: what the doctor has put aside, and the way back. Nothing empties it.

use super::print_json;
use crate::{
    exit,
    host::{self, Failure},
    terminal::{clean, say},
};
use clap::Subcommand;

/// What the doctor has put aside. Nothing empties it by itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Trash {
    /// List what was put aside, newest first.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Put something back where it was.
    Restore {
        /// Its id, as `list` prints it.
        id: String,
    },
}

impl Trash {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        let data = host::machine()?.data;
        match self {
            Self::List { json } => {
                let items = nexus_api::trash(&data).await?;
                if json {
                    print_json(&items);
                } else if items.is_empty() {
                    say("nothing was put aside");
                }
                for item in items.iter().filter(|_| !json) {
                    say(&format!("{}  {}", item.id, clean(&item.from)));
                    say(&format!("  {}: {}", item.code, clean(&item.why)));
                }
            }
            Self::Restore { id } => {
                let item = nexus_api::restore_trashed(&data, id).await?;
                say(&format!("put back {}", clean(&item.from)));
            }
        }
        Ok(exit::OK)
    }
}
