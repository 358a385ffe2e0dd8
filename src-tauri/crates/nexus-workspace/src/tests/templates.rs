//! A project's own templates, as they lie in its folder.

use super::Place;
use crate::templates;
use nexus_core::TemplateSource;

const GOOD: &str = "title = 'Release'\ntext = 'Release it'\n";

/// The names of the templates, and of each broken file what is wrong with it.
fn found(place: &Place) -> (Vec<String>, Vec<(String, String)>) {
    let (templates, broken) = templates(&place.project);
    assert!(
        templates
            .iter()
            .all(|it| it.source == TemplateSource::Project)
    );
    let names = templates.into_iter().map(|template| template.name);
    let broken = broken
        .into_iter()
        .map(|broken| (broken.file, broken.problem));
    (names.collect(), broken.collect())
}

#[test]
fn a_project_without_templates_has_none_and_that_is_no_mistake() {
    let place = Place::plain();
    assert_eq!(found(&place), (vec![], vec![]));
    place.write(".nexus/config.toml", "");
    assert_eq!(found(&place), (vec![], vec![]));
    place.write(".nexus/templates/README.md", "Ours.");
    assert_eq!(found(&place), (vec![], vec![]));
}

#[test]
fn a_broken_template_is_named_with_its_line_and_hides_no_other() {
    let place = Place::plain();
    let at = |name: &str| format!(".nexus/templates/{name}");
    place
        .write(&at("zeta.toml"), GOOD)
        .write(&at("alpha.toml"), format!("\u{feff}{GOOD}"))
        .write(&at("typo.toml"), "title = 'x'\n\ntxt = 'x'\n")
        .write(&at("My Bug.toml"), GOOD)
        .write(&at("huge.toml"), "#".repeat(64 * 1024 + 1))
        .write(&at("folder.toml/inside.toml"), GOOD);
    let (names, broken) = found(&place);
    assert_eq!(names, ["alpha", "zeta"]);
    let files: Vec<_> = broken.iter().map(|(file, _)| file.as_str()).collect();
    assert_eq!(
        files,
        [
            ".nexus/templates/My Bug.toml",
            ".nexus/templates/folder.toml",
            ".nexus/templates/huge.toml",
            ".nexus/templates/typo.toml"
        ]
    );
    for (says, (_, problem)) in [
        "`My Bug` is no name",
        "no plain file",
        "longer than 65536",
        "line 3, `txt = 'x'`",
    ]
    .iter()
    .zip(&broken)
    {
        assert!(problem.contains(says), "{says}: {problem}");
    }
}

#[test]
fn no_link_is_followed_to_a_template() {
    let place = Place::plain();
    std::fs::create_dir(place.path("elsewhere")).unwrap();
    std::fs::write(place.path("elsewhere/secret.toml"), GOOD).unwrap();
    let elsewhere = place.path("elsewhere");
    place.write(".nexus/templates/good.toml", GOOD);
    place.link(
        ".nexus/templates/link.toml",
        elsewhere.join("secret.toml").to_str().unwrap(),
    );
    let (names, broken) = found(&place);
    assert_eq!(names, ["good"]);
    assert_eq!(broken.len(), 1);
    assert!(broken[0].1.contains("it is a link"), "{broken:?}");

    for (folder, named) in [
        (".nexus/templates", ".nexus/templates"),
        (".nexus", ".nexus"),
    ] {
        let place = Place::plain();
        place.write(&format!("{folder}/x"), "");
        std::fs::remove_dir_all(place.at(folder)).unwrap();
        place.link(folder, elsewhere.to_str().unwrap());
        let (names, broken) = found(&place);
        assert_eq!(names, [""; 0]);
        assert_eq!(broken[0].0, named);
    }
}

#[test]
fn no_more_than_fifty_files_are_read() {
    let place = Place::plain();
    for number in 10..62 {
        place.write(&format!(".nexus/templates/t-{number}.toml"), GOOD);
    }
    let (names, broken) = found(&place);
    assert_eq!(
        (names.len(), names[0].as_str(), names[49].as_str()),
        (50, "t-10", "t-59")
    );
    assert_eq!(broken.len(), 1);
    assert!(broken[0].1.contains("2 more than the 50"), "{broken:?}");
}
