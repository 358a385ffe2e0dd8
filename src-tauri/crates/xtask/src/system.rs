//! Packages of the operating system: which are missing, why each is wanted, installing them.

use crate::program::{Done, Failure, Program};

/// A Debian package and what NEXUS needs it for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Package {
    name: &'static str,
    why: &'static str,
}

const fn package(name: &'static str, why: &'static str) -> Package {
    Package { name, why }
}

/// What building and running the command line program takes.
pub(crate) const HEADLESS: &[Package] = &[
    package(
        "build-essential",
        "the C compiler and linker that Rust crates build with",
    ),
    package("git", "task workspaces, snapshots and diffs"),
    package("python3", "the tests of the practice task's sample project"),
];

/// What building the desktop window takes on top.
pub(crate) const WINDOW: &[Package] = &[
    package(
        "pkg-config",
        "finding the web-view libraries while building",
    ),
    package(
        "libwebkit2gtk-4.1-dev",
        "the web view that shows the desktop window",
    ),
];

/// What the tests take on top of both.
pub(crate) const TESTS: &[Package] = &[
    package(
        "python3-venv",
        "a private folder for the programs that check this repository",
    ),
    package(
        "dbus",
        "a session bus of their own for tests of keychain and window",
    ),
    package("gnome-keyring", "a keychain to test against"),
    package("xvfb", "a display in memory for tests of the window"),
    package("xauth", "access to that display"),
    package("webkit2gtk-driver", "driving the real window in tests"),
    package("fonts-dejavu-core", "text in that window"),
];

/// Installs those of the packages that are missing, after saying what they are for.
///
/// On a system without Debian's package tools it names them all and goes on: what is really
/// missing then shows itself in the step that needs it.
pub(crate) fn ensure(lists: &[&[Package]]) -> Done {
    let wanted: Vec<Package> = lists.concat();
    if Program::new("dpkg-query")
        .args(["--version"])
        .read()
        .is_none()
    {
        println!("This system has no Debian package tools. Going on without looking; needed are");
        println!("its counterparts of these Debian packages:");
        explain(&wanted);
        return Ok(());
    }
    let missing: Vec<Package> = wanted
        .into_iter()
        .filter(|p| !is_installed(p.name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("Installing system packages:");
    explain(&missing);
    install(&missing)
}

fn explain(packages: &[Package]) {
    for package in packages {
        println!("   {:24} {}", package.name, package.why);
    }
}

fn is_installed(name: &str) -> bool {
    Program::new("dpkg-query")
        .args(["--show", "--showformat", "${db:Status-Status}", name])
        .read()
        .is_some_and(|status| status == "installed")
}

fn install(missing: &[Package]) -> Done {
    let names = missing.iter().map(|package| package.name);
    let by_hand = format!(
        "the system packages could not be installed; install them by hand and run this again:\n   \
         apt-get install {}",
        names.clone().collect::<Vec<_>>().join(" ")
    );
    as_root("apt-get")
        .args(["update", "-qq", "-o", "Acquire::Retries=3"])
        .show()
        .and_then(|()| {
            as_root("apt-get")
                .args(["install", "-y", "-qq", "--no-install-recommends"])
                .args(["-o", "Acquire::Retries=3", "-o", "Dpkg::Use-Pty=0"])
                .args(names)
                .show()
        })
        .map_err(|failure| Failure::new(format!("{failure}; {by_hand}")))
}

/// The program with the rights to change the system: through `sudo`, unless we have them.
fn as_root(program: &str) -> Program {
    let quiet = "DEBIAN_FRONTEND=noninteractive";
    let uid = Program::new("id").args(["-u"]).read();
    if uid.is_some_and(|uid| uid.trim() == "0") {
        return Program::new("env").args([quiet, program]);
    }
    // Where nobody watches, sudo has to fail at once instead of waiting for a password.
    let patience = std::env::var_os("CI").map(|_| "--non-interactive");
    Program::new("sudo")
        .args(patience)
        .args(["env", quiet, program])
        .may_ask()
}
