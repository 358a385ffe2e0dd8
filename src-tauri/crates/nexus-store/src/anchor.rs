//! The end of the log, noted in a small file beside the database.
//!
//! The chain inside the database shows every change but one: a whole, older state of it, as
//! left by a lost write-ahead log or an old copy put back. So the end of the log is noted
//! outside as well, after each commit and without waiting for the disk: a note that is late or
//! torn proves nothing and is passed over, but a note that is ahead of the log is proof.

use crate::{StoreError, place, table::event::Head};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// The open note.
#[derive(Debug)]
pub(crate) struct Anchor {
    file: File,
    path: PathBuf,
}

/// What the note says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) seq: u64,
    pub(crate) hash: [u8; 32],
    /// How often the tables beside the log had changed; not in notes of format 1.
    pub(crate) revision: Option<u64>,
}

impl Anchor {
    /// Opens the note at `path`, making it where it is absent.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = place::private_file()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| StoreError::io(path, &error))?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Writes down where the log ends. A failure costs only the proof, so it is logged.
    pub(crate) fn write(&mut self, head: &Head, revision: u64) {
        if let Err(error) = self.try_write(head, revision) {
            tracing::warn!(path = %self.path.display(), %error, "the end of the log was not noted");
        }
    }

    /// Always the same length, so that writing over an earlier note needs no new space.
    fn try_write(&mut self, head: &Head, revision: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        let note = render(head.seq, &head.hash, revision);
        self.file.write_all(note.as_bytes())
    }
}

/// The note at `path`; `None` when there is none or it is torn.
pub(crate) fn read(path: &Path) -> Result<Option<Noted>, StoreError> {
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(4096).read_to_string(&mut text)) {
        Ok(_) => Ok(parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(StoreError::io(path, &error)),
    }
}

fn render(seq: u64, hash: &[u8; 32], revision: u64) -> String {
    let fact = format!("{seq:020} {} {revision:020}", hex(hash));
    format!("{fact} {}\n", check(&fact))
}

fn parse(text: &str) -> Option<Noted> {
    let (fact, sum) = text.strip_suffix('\n')?.rsplit_once(' ')?;
    if check(fact) != sum {
        return None;
    }
    let mut words = fact.split(' ');
    let seq = words.next()?.parse().ok()?;
    let hash = unhex(words.next()?)?;
    let revision = words.next().map(str::parse).transpose().ok()?;
    Some(Noted {
        seq,
        hash,
        revision,
    })
}

/// Tells a whole note from a torn one.
fn check(fact: &str) -> String {
    let digest = Sha256::digest(format!("nexus head v1\0{fact}"));
    hex(&digest[..8])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_and_a_torn_one_is_passed_over() {
        let note = render(7, &[0xab; 32], 3);
        let noted = Noted {
            seq: 7,
            hash: [0xab; 32],
            revision: Some(3),
        };
        assert_eq!(parse(&note), Some(noted));
        for cut in 0..note.len() {
            assert_eq!(parse(&note[..cut]), None, "cut at {cut}");
        }
        assert_eq!(parse(&note.replace('7', "8")), None);
        assert_eq!(note.len(), render(u64::MAX, &[0; 32], u64::MAX).len());
    }

    #[test]
    fn a_note_of_the_first_format_is_understood() {
        let fact = format!("{:020} {}", 7, hex(&[0xab; 32]));
        let noted = parse(&format!("{fact} {}\n", check(&fact))).unwrap();
        assert_eq!((noted.seq, noted.revision), (7, None));
    }
}
