//! Where a path of a tool request leads, found out by following links.

use nexus_core::{ProjectPath, ToolRequest, policy::Place};
use std::path::{Component, Path, PathBuf};

/// Says where the request's path leads, seen from `workspace`.
///
/// Only a gate: between this look and the tool's use something may change. What an agent
/// writes is looked at again when the workspace is compared with its base.
pub(super) fn place_of(request: &ToolRequest, workspace: &Path) -> Place {
    let text = |key: &str| request.input.get(key)?.as_str();
    let paths = ["file_path", "notebook_path", "path"]
        .iter()
        .filter_map(|key| text(key));
    // A pattern of file names can lead out like a path; one of words cannot.
    let patterns = (request.tool == "Glob").then(|| text("pattern")).flatten();
    let places = paths
        .chain(patterns)
        .map(|named| place_named(named, workspace));
    // The worst of several counts.
    places.fold(Place::Unnamed, |worst, place| match (worst, place) {
        (Place::Outside, _) | (_, Place::Outside) => Place::Outside,
        (Place::Reserved, _) | (_, Place::Reserved) => Place::Reserved,
        (Place::Inside, _) | (_, Place::Inside) => Place::Inside,
        (Place::Unnamed, Place::Unnamed) => Place::Unnamed,
    })
}

/// The file inside the workspace that the request names, as the project calls it.
pub(super) fn path_inside(request: &ToolRequest, workspace: &Path) -> Option<ProjectPath> {
    let workspace = workspace.canonicalize().ok()?;
    let path = resolve(&workspace.join(request.object()))?;
    let inside = path.strip_prefix(&workspace).ok()?;
    ProjectPath::parse(inside.to_str()?).ok()
}

fn place_named(named: &str, workspace: &Path) -> Place {
    // The agent program cuts blanks off and takes `~` for the home folder.
    if named != named.trim() || named.starts_with('~') || named.contains('\0') {
        return Place::Outside;
    }
    let Ok(workspace) = workspace.canonicalize() else {
        return Place::Outside;
    };
    let Some(path) = resolve(&workspace.join(named)) else {
        return Place::Outside;
    };
    match path.strip_prefix(&workspace) {
        Err(_) => Place::Outside,
        Ok(inside) if inside.components().any(|part| is_git_dir(&part)) => Place::Reserved,
        Ok(_) => Place::Inside,
    }
}

fn is_git_dir(part: &Component<'_>) -> bool {
    // Some file systems do not tell these apart.
    part.as_os_str().eq_ignore_ascii_case(".git")
}

/// The path with all links followed, as far as it exists. `None` when it goes up through
/// something that does not exist, or a link leads nowhere.
fn resolve(path: &Path) -> Option<PathBuf> {
    if let Ok(whole) = path.canonicalize() {
        return Some(whole);
    }
    // A link that leads nowhere would be written through to wherever it points.
    if path.symlink_metadata().is_ok() {
        return None;
    }
    let name = match path.components().next_back()? {
        Component::Normal(name) => name,
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            return None;
        }
    };
    Some(resolve(path.parent()?)?.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn links_and_parents_do_not_lead_out_unnoticed() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("w"), dir.path().join("o"));
        fs::create_dir_all(inside.join("src")).unwrap();
        fs::create_dir_all(inside.join(".git")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        symlink(&outside, inside.join("out")).unwrap();
        symlink("src", inside.join("in")).unwrap();
        symlink(outside.join("nothing"), inside.join("dangling")).unwrap();
        let place = |path: &str| {
            let request = ToolRequest {
                tool: "Write".into(),
                input: json!({ "file_path": path }),
            };
            place_of(&request, &inside)
        };
        let absolute = inside.join("new.txt");
        assert_eq!(place(absolute.to_str().unwrap()), Place::Inside);
        assert_eq!(place("a/b/c.txt"), Place::Inside);
        assert_eq!(place("in/x.txt"), Place::Inside);
        assert_eq!(place("src/../x.txt"), Place::Inside);
        assert_eq!(place("out/x.txt"), Place::Outside);
        assert_eq!(place("dangling"), Place::Outside);
        assert_eq!(place("../o/x.txt"), Place::Outside);
        assert_eq!(place("nope/../../o/x.txt"), Place::Outside);
        assert_eq!(place("/etc/passwd"), Place::Outside);
        assert_eq!(place("~/.ssh/id_rsa"), Place::Outside);
        assert_eq!(place(" /etc/passwd"), Place::Outside);
        let glob = |pattern: &str| {
            let input = json!({ "pattern": pattern });
            let tool = "Glob".into();
            place_of(&ToolRequest { tool, input }, &inside)
        };
        assert_eq!(glob("**/*.rs"), Place::Inside);
        assert_eq!(glob("../../**"), Place::Outside);
        assert_eq!(glob("/home/**"), Place::Outside);
        assert_eq!(place(".git/config"), Place::Reserved);
        assert_eq!(place(".GIT/hooks/x"), Place::Reserved);
        let unnamed = ToolRequest {
            tool: "Bash".into(),
            input: json!({ "command": "ls" }),
        };
        assert_eq!(place_of(&unnamed, &inside), Place::Unnamed);
    }
}
