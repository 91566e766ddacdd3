//! The mapping of the sample bundle.

use chaperone_policy::mapping::{HttpRequest, Mapping};

use crate::fixture::{get, map, mapping, resource, route_of};

fn sample() -> Mapping {
    mapping(include_str!("../../../../deploy/sample-bundle/mapping.toml"))
}

#[test]
fn sample_mapping_routes_documents_exports_and_settings() {
    let put = |target| HttpRequest { method: "PUT", ..get(target) };
    for (request, route, id) in [
        (get("/documents/welcome"), Some("read-document"), "Document::\"welcome\""),
        (get("/documents/welcome/export?format=csv"), Some("export-document"), "Document::\"welcome\""),
        (put("/settings/retention-days?value=30"), Some("change-setting"), "Setting::\"retention-days\""),
        (put("/documents/welcome"), None, "Chaperone::Endpoint::\"docs.example.com/documents/welcome\""),
        (get("/health"), None, "Chaperone::Endpoint::\"docs.example.com/health\""),
    ] {
        let mapped = map(&sample(), &request);
        assert_eq!(route_of(&mapped), route);
        assert_eq!(resource(&mapped), Ok(id.into()));
    }
}

#[test]
fn sample_export_needs_a_format() {
    let mapped = map(&sample(), &get("/documents/welcome/export"));
    assert_eq!(resource(&mapped), Err("`{query.format}` is absent".into()));
}
