//! Appends until it is killed: `nexus-store-writer <data folder> <batches>`.
//!
//! Each batch's last number goes to standard output after `append` returned, so whoever reads
//! it knows what was acknowledged. What an event says follows from its number alone.

use nexus_core::Timestamp;
use nexus_store::{NewEvent, Store, StoreKey};
use std::{
    error::Error,
    io::Write,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("the data folder is missing")?);
    let batches = arguments.next().ok_or("the number of batches is missing")?;
    let batches: u64 = batches.to_string_lossy().parse()?;

    append(&dir, batches).map_err(|error| error.to_string().into())
}

fn append(dir: &Path, batches: u64) -> Result<(), Box<dyn Error>> {
    let mut store = Store::open(dir, StoreKey::Plain)?;
    let mut output = std::io::stdout().lock();
    for _ in 0..batches {
        let first = store.last_seq()? + 1;
        let batch: Vec<_> = (first..=first + first % 3).map(event).collect();
        let acknowledged = store.append(&batch, &[])?;
        writeln!(output, "{}", acknowledged.last().copied().unwrap_or(0))?;
        output.flush()?;
    }
    Ok(())
}

/// Event number `seq` of every log this program writes.
fn event(seq: u64) -> NewEvent<'static> {
    NewEvent {
        stream: if seq.is_multiple_of(2) { "even" } else { "odd" },
        kind: "counted",
        at: Timestamp::from_millis(i64::try_from(seq).unwrap_or(0)),
        body: format!(
            "{{\"n\":{seq},\"padding\":\"{}\"}}",
            "x".repeat(usize::try_from(seq * 37 % 3000).unwrap_or(0))
        ),
    }
}
