//! Room kept back for the moment when the disk is full.
//!
//! A file of a known size lies in the data folder and holds nothing. Removing it gives back
//! enough room to record what happened and to end in order.

use crate::{
    StoreError,
    place::{self, Place},
};
use std::{
    fs::{self, File},
    io,
};

/// The reserve is made only where this many times its size is free.
const ROOM: u64 = 5;

/// Makes the reserve of `size` bytes if it is not there and the disk has plenty of room. That
/// it cannot be made keeps nobody from working, so it is logged.
pub(crate) fn make(place: &Place, size: u64) {
    let file = place.reserve();
    let there = fs::symlink_metadata(&file).map(|metadata| metadata.len());
    if size == 0 || there.is_ok_and(|there| there == size) {
        return;
    }
    let free = place::free_space(&place.dir).unwrap_or(u64::MAX);
    if free / ROOM < size {
        tracing::info!(free, size, "too little room for a reserve");
        return;
    }
    let made = place::private_file()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&file)
        .and_then(|open| fill(&open, size));
    if let Err(error) = made {
        tracing::warn!(file = %file.display(), %error, "the reserve cannot be made");
        // What is left of it would only take away room.
        fs::remove_file(&file).ok();
    }
}

/// Removes the reserve and returns how many bytes that gave back; 0 when there was none.
pub(crate) fn release(place: &Place) -> Result<u64, StoreError> {
    let file = place.reserve();
    let given = match fs::symlink_metadata(&file) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(StoreError::io(&file, &error)),
    };
    place::remove_if_there(&file)?;
    Ok(given)
}

/// Is room kept back?
pub(crate) fn is_there(place: &Place) -> bool {
    fs::symlink_metadata(place.reserve()).is_ok_and(|kept| kept.len() > 0)
}

/// Takes `size` bytes of the disk.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn fill(file: &File, size: u64) -> io::Result<()> {
    use rustix::{fs::FallocateFlags, io::Errno};
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size) {
        Ok(()) => Ok(()),
        // Not every file system can set room aside without writing.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => write(file, size),
        Err(error) => Err(error.into()),
    }
}

/// Takes `size` bytes of the disk.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn fill(file: &File, size: u64) -> io::Result<()> {
    write(file, size)
}

/// Writes what no file system can press into less.
fn write(mut file: &File, size: u64) -> io::Result<()> {
    let mut state = 1_u64;
    let mut noise = io::Read::take(io::repeat(0), size);
    let mut block = vec![0; 64 * 1024];
    loop {
        let length = io::Read::read(&mut noise, &mut block)?;
        if length == 0 {
            return Ok(());
        }
        for byte in &mut block[..length] {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state.to_le_bytes()[7];
        }
        io::Write::write_all(&mut file, &block[..length])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_made_and_given_back_once() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path());
        make(&place, 100_000);
        assert_eq!(fs::metadata(place.reserve()).unwrap().len(), 100_000);
        make(&place, 100_000);
        assert_eq!(release(&place).unwrap(), 100_000);
        assert_eq!(release(&place).unwrap(), 0);
    }

    #[test]
    fn a_reserve_that_is_too_big_for_the_disk_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path());
        let free = place::free_space(dir.path()).unwrap_or(u64::MAX);
        make(&place, free / 2);
        assert!(!place.reserve().exists());
    }

    #[test]
    fn without_help_of_the_file_system_a_reserve_is_written_and_incompressible() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        write(&File::create(&path).unwrap(), 150_001).unwrap();
        let bytes = fs::read(path).unwrap();
        assert_eq!(bytes.len(), 150_001);
        assert!((0..=255).all(|byte| bytes[..10_000].contains(&byte)));
    }
}
