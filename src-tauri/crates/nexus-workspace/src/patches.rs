//! What was done to each file, line by line, for those who look for something in it.
//!
//! Git's text is read while it is printed, and only as much of it is kept as was asked for.

use crate::{
    GitError, Repository,
    diff::{diff_args, kind_of, unexpected},
    git::Taken,
};
use nexus_core::{FileKind, FileOperation, FilePatch, TreeId};
use std::io::BufRead;

/// How much of a difference is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchLimit {
    /// Lines of one file, removed and added.
    pub lines: usize,
    /// Bytes of one file.
    pub bytes: usize,
    /// Bytes of all files together.
    pub total_bytes: usize,
}

impl Default for PatchLimit {
    fn default() -> Self {
        Self {
            lines: 4000,
            bytes: 1024 * 1024,
            total_bytes: 16 * 1024 * 1024,
        }
    }
}

impl Repository {
    /// The lines that were removed from and added to each file that differs, by path, as far as
    /// the limit allows. Of a link, the line is where it leads. A file that moved is one deleted
    /// and one added.
    pub fn file_patches(
        &self,
        from: &TreeId,
        to: &TreeId,
        limit: PatchLimit,
    ) -> Result<Vec<FilePatch>, GitError> {
        let mut reading = Reading::of(self.operations(from, to)?, limit);
        let form = ["-p", "--no-color", "--unified=0", "--histogram"];
        let call = self.git.call(&self.dir, diff_args(from, to, &form));
        call.read(|printed| {
            let whole = reading.read(printed);
            Taken {
                cut: whole != Some(true),
                made: whole.map(|_| reading.patches),
            }
        })?
        .ok_or_else(unexpected)
    }
}

/// A unified diff that is being read.
struct Reading {
    patches: Vec<FilePatch>,
    /// Which patch each section of the diff is about. They come in the same order, but a file
    /// that became a link, or a link that became a file, has two.
    sections: Vec<usize>,
    limit: PatchLimit,
    /// What is kept of the present file.
    lines: usize,
    bytes: usize,
    total_bytes: usize,
    /// Nothing more is kept.
    full: bool,
}

impl Reading {
    fn of(operations: Vec<FileOperation>, limit: PatchLimit) -> Self {
        let changes_type = |operation: &FileOperation| {
            let (old, new) = (operation.old.as_ref()?, operation.new.as_ref()?);
            Some((old.kind == FileKind::Link) != (new.kind == FileKind::Link))
        };
        let sections = operations.iter().enumerate().flat_map(|(n, operation)| {
            let count = if changes_type(operation) == Some(true) {
                2
            } else {
                1
            };
            std::iter::repeat_n(n, count)
        });
        Self {
            sections: sections.collect(),
            patches: operations.into_iter().map(untouched).collect(),
            limit,
            lines: 0,
            bytes: 0,
            total_bytes: 0,
            full: false,
        }
    }

    /// Reads to the end, true, or until nothing more can be kept. `None` if it is not the diff
    /// that was expected.
    fn read(&mut self, mut printed: impl BufRead) -> Option<bool> {
        let mut begun = 0;
        let mut line = Vec::new();
        while next(&mut printed, &mut line).is_some() {
            if line.starts_with(b"diff --git ") {
                if self.full {
                    self.cut_from(begun);
                    return Some(false);
                }
                self.begin(begun)?;
                begun += 1;
            } else if line.starts_with(b"Binary files ") {
                self.present(begun)?.cut = true;
            } else if let Some((removed, added)) = hunk(&line) {
                self.read_hunk(begun, removed, added, &mut printed)?;
            }
        }
        (begun == self.sections.len()).then_some(true)
    }

    fn begin(&mut self, begun: usize) -> Option<()> {
        let goes_on = begun > 0 && self.sections.get(begun) == self.sections.get(begun - 1);
        if !goes_on {
            (self.lines, self.bytes) = (0, 0);
        }
        self.sections.get(begun).map(drop)
    }

    /// The patch of the section that was begun last.
    fn present(&mut self, begun: usize) -> Option<&mut FilePatch> {
        let section = self.sections.get(begun.checked_sub(1)?)?;
        self.patches.get_mut(*section)
    }

    /// Reads as many lines as the head of the hunk promises, whatever they look like.
    fn read_hunk(
        &mut self,
        begun: usize,
        mut removed: u64,
        mut added: u64,
        printed: &mut impl BufRead,
    ) -> Option<()> {
        let mut line = Vec::new();
        while removed > 0 || added > 0 {
            next(printed, &mut line)?;
            let (sign, text) = line.split_first()?;
            match sign {
                b'-' => {
                    removed = removed.checked_sub(1)?;
                    self.keep(begun, text, |patch| &mut patch.removed)?;
                }
                b'+' => {
                    added = added.checked_sub(1)?;
                    self.keep(begun, text, |patch| &mut patch.added)?;
                }
                // Says that the line before has no line ending.
                b'\\' => {}
                _ => return None,
            }
        }
        Some(())
    }

    fn keep(
        &mut self,
        begun: usize,
        line: &[u8],
        side: fn(&mut FilePatch) -> &mut Vec<String>,
    ) -> Option<()> {
        let (lines, bytes) = (self.lines + 1, self.bytes + line.len());
        let total_bytes = self.total_bytes + line.len();
        let fits = lines <= self.limit.lines && bytes <= self.limit.bytes;
        let full = fits && total_bytes > self.limit.total_bytes;
        let patch = self.present(begun)?;
        if patch.cut || full || !fits {
            patch.cut = true;
            self.full |= full;
            return Some(());
        }
        side(patch).push(text_of(line));
        (self.lines, self.bytes, self.total_bytes) = (lines, bytes, total_bytes);
        Some(())
    }

    /// Says of the patches from this section on that there is more to them.
    fn cut_from(&mut self, section: usize) {
        for patch in &self.sections[section..] {
            self.patches[*patch].cut = true;
        }
    }
}

fn untouched(operation: FileOperation) -> FilePatch {
    FilePatch {
        change: kind_of(&operation),
        path: operation.path,
        removed: Vec::new(),
        added: Vec::new(),
        cut: false,
    }
}

/// Reads one line with its ending. `None` at the end.
fn next(printed: &mut impl BufRead, line: &mut Vec<u8>) -> Option<()> {
    line.clear();
    let count = printed.read_until(b'\n', line).ok()?;
    (count > 0).then_some(())
}

/// How many lines a hunk removes and adds, if this is the head of one:
/// `@@ -1,2 +3 @@`, in which no count is a count of one.
fn hunk(line: &[u8]) -> Option<(u64, u64)> {
    let line = String::from_utf8_lossy(line.strip_prefix(b"@@ ")?);
    let mut words = line.split(' ');
    let mut count = |sign| {
        let range = words.next()?.strip_prefix(sign)?;
        range
            .split_once(',')
            .map_or(Some(1), |(_, n)| n.parse().ok())
    };
    Some((count('-')?, count('+')?))
}

/// A line without its ending. What is not UTF-8 in it is replaced.
fn text_of(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(line).into_owned()
}
