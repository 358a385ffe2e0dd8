//! What the page in the window may do, held against what it must never be able to do.

use serde_json::Value;

const CONFIGURATION: &str = include_str!("../../tauri.conf.json");
const CAPABILITIES: &str = include_str!("../capabilities/main.json");

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_page_runs_only_its_own_scripts_and_loads_nothing_from_elsewhere() {
    let security = json(CONFIGURATION)["app"]["security"].take();
    let policy = security["csp"].as_str().unwrap();
    let rules: Vec<_> = policy.split("; ").collect();
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "connect-src ipc: http://ipc.localhost",
    ] {
        assert!(rules.contains(&rule), "{rule} is missing in {policy}");
    }
    // Styles may be inline, because the component library writes them.
    let others = rules.iter().filter(|rule| !rule.starts_with("style-src"));
    for rule in others {
        for word in ["unsafe", "*", "https:"] {
            assert!(!rule.contains(word), "{word} in {rule}");
        }
    }
    assert_eq!(security["assetProtocol"]["enable"], false);
    assert!(security.get("devCsp").is_none());
    assert!(
        security
            .get("dangerousDisableAssetCspModification")
            .is_none()
    );
    assert_eq!(json(CONFIGURATION)["app"]["withGlobalTauri"], false);
}

#[test]
fn the_page_is_given_these_rights_and_no_others() {
    let capability = json(CAPABILITIES);
    assert!(capability.get("remote").is_none());
    assert_eq!(capability["windows"], serde_json::json!(["main"]));
    let rights: Vec<_> = capability["permissions"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    let expected = [
        "core:event:allow-listen",
        "core:event:allow-unlisten",
        "api",
        "subscribe",
        "native",
    ];
    assert_eq!(rights, expected);
}
