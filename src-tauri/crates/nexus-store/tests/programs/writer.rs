//! Appends until it is killed: `nexus-store-writer <data folder> <batches>`, or with
//! `<bytes>` as a third word until no file may grow beyond that, and on when they may again.
//! With `flood` as a third word, a turn says so many megabytes, and the name of its transcript
//! goes to standard output.
//!
//! Each batch's last number goes to standard output after `append` returned, so whoever reads
//! it knows what was acknowledged. What an event says follows from its number alone.

use nexus_core::{TaskId, Timestamp, TurnId, TurnUpdate};
use nexus_store::{
    NewEvent, Store, StoreError, StoreKey, StoreOptions, TranscriptLine, Transcripts,
};
use std::{
    error::Error,
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("the data folder is missing")?);
    let batches = number(arguments.next().ok_or("the number of batches is missing")?)?;
    let third = arguments.next();
    if third.as_ref().is_some_and(|word| word == "flood") {
        return flood(&dir, batches);
    }
    let limit = third.map(number).transpose()?;

    let options = StoreOptions { reserve: 0 };
    let mut store = Store::open_with(&dir, StoreKey::Plain, options).map_err(with_code)?;
    match limit {
        None => append(&mut store, batches).map_err(with_code)?,
        Some(limit) => under_limit(&mut store, batches, limit)?,
    }
    Ok(())
}

fn number(word: OsString) -> Result<u64, Box<dyn Error>> {
    Ok(word.to_string_lossy().parse()?)
}

fn with_code(error: StoreError) -> String {
    format!("{}: {error}", error.trouble().code())
}

fn append(store: &mut Store, batches: u64) -> Result<(), StoreError> {
    for _ in 0..batches {
        let batch = next_batch(store)?;
        let acknowledged = store.append(&batch, &[])?;
        say(acknowledged.last().copied().unwrap_or(0));
    }
    Ok(())
}

/// Appends until that fails, tries the same batch again three times, and then once more without
/// the limit. Says the code of each failure in its place among the numbers.
#[cfg(unix)]
fn under_limit(store: &mut Store, batches: u64, limit: u64) -> Result<(), Box<dyn Error>> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Fsize);
    let limited = Rlimit {
        current: Some(limit),
        ..before
    };
    setrlimit(Resource::Fsize, limited)?;
    let Err(met) = append(store, batches) else {
        return Ok(());
    };
    say(met.trouble().code());
    let batch = next_batch(store)?;
    for tries in 0.. {
        if tries == 3 {
            setrlimit(Resource::Fsize, before)?;
        }
        match store.append(&batch, &[]) {
            Ok(acknowledged) => {
                say(acknowledged.last().copied().unwrap_or(0));
                break;
            }
            Err(error) if tries < 3 => say(error.trouble().code()),
            Err(error) => return Err(error.into()),
        }
    }
    setrlimit(Resource::Fsize, before)?;
    append(store, 20)?;
    Ok(())
}

#[cfg(not(unix))]
fn under_limit(_: &mut Store, _: u64, _: u64) -> Result<(), Box<dyn Error>> {
    Err("this system has no such limit".into())
}

/// Lets one turn say `megabytes`, most of them in long lines and one far too long, into a
/// transcript of at most 32.
fn flood(dir: &Path, megabytes: u64) -> Result<(), Box<dyn Error>> {
    let transcripts = Transcripts::new(dir).limited_to(32 << 20);
    let task: TaskId = "00000000-0000-0000-0000-000000000001".parse()?;
    let turn = TurnId(1);
    let mut writer = transcripts.writer(task, turn)?;
    let mut line = |length: usize| {
        let text = "x".repeat(length);
        let update = TurnUpdate::Text { text };
        let at = Timestamp::from_millis(1);
        writer.append(&TranscriptLine { at, update }).map(drop)
    };
    line(40 << 20)?;
    for _ in 0..megabytes * 4 {
        line(256 << 10)?;
    }
    let file = dir.join(format!("tasks/{task}/transcripts/{turn}.jsonl"));
    say(file.display());
    Ok(())
}

fn say(word: impl std::fmt::Display) {
    let mut output = std::io::stdout().lock();
    // Whoever does not listen any more has killed us.
    writeln!(output, "{word}")
        .and_then(|()| output.flush())
        .ok();
}

fn next_batch(store: &Store) -> Result<Vec<NewEvent<'static>>, StoreError> {
    let first = store.last_seq()? + 1;
    Ok((first..=first + first % 3).map(event).collect())
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
