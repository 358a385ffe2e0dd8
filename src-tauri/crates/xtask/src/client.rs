//! The description of the API and the TypeScript types made from it, both kept in `ui/`.
//!
//! They are generated, and committed so that the user interface builds without Rust.

use crate::program::{Done, Failure, Program};
use crate::{node, place};
use std::fs::{self, File};
use std::path::PathBuf;

/// The generator has a folder of its own because it needs an older TypeScript.
fn generator() -> PathBuf {
    place::ui().join("tools/openapi")
}

fn document() -> PathBuf {
    place::ui().join("openapi.json")
}

fn types() -> PathBuf {
    place::ui().join("src/api/schema.d.ts")
}

/// Installs the generator.
pub(crate) fn ensure() -> Done {
    node::ensure()?;
    node::install(&generator(), "making TypeScript of the API's description")
}

/// `cargo xtask client`: writes both anew.
pub(crate) fn generate() -> Done {
    ensure()?;
    println!("Building the command line program, which knows the API:");
    Program::cargo()
        .args(["build", "--locked", "--package=nexus-cli"])
        .show()?;
    let (document, types) = (document(), types());
    fs::write(&document, described()?)?;
    typescript(&document, &types).show()?;
    println!("Written: {} and {}", document.display(), types.display());
    Ok(())
}

/// Fails when what is committed is not what the API says. Needs the built `nexus`.
pub(crate) fn is_up_to_date(log: &File) -> Done {
    let document_now = described()?;
    let fresh_document = place::logs().join("openapi.json");
    let fresh_types = place::logs().join("schema.d.ts");
    fs::write(&fresh_document, &document_now)?;
    typescript(&fresh_document, &fresh_types).log(log)?;
    let same =
        |fresh: &PathBuf, kept: &PathBuf| -> Done<bool> { Ok(fs::read(fresh)? == fs::read(kept)?) };
    if same(&fresh_document, &document())? && same(&fresh_types, &types())? {
        return Ok(());
    }
    Err(Failure::new(
        "ui/openapi.json and ui/src/api/schema.d.ts are not what the API says: run \
         `cargo xtask client` and commit them",
    ))
}

fn described() -> Done<String> {
    let nexus = Program::new(place::built("debug", "nexus")).args(["openapi"]);
    nexus
        .read()
        .ok_or_else(|| Failure::new("`nexus openapi` gave no description of the API"))
}

fn typescript(from: &PathBuf, to: &PathBuf) -> Program {
    Program::new(generator().join("node_modules/.bin/openapi-typescript"))
        .args([from])
        .args(["-o"])
        .args([to])
        .args(["--alphabetize"])
        .within(generator())
}
