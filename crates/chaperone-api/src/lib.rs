//! Chaperone's gRPC API, and the subset of Envoy's that an ext_authz check needs: messages, clients and servers.
//!
//! Everything under `gen/` is generated from `proto/` and committed; `tests/codegen.rs` keeps the two the same.

#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated from commented protos")]

/// Chaperone's API.
pub mod chaperone {
    /// Version 1.
    pub mod v1 {
        include!("gen/chaperone.v1.rs");
    }
}

/// Envoy's API, as far as it is needed.
pub mod envoy {
    pub mod config {
        pub mod core {
            pub mod v3 {
                include!("gen/envoy.config.core.v3.rs");
            }
        }
    }
    pub mod service {
        pub mod auth {
            pub mod v3 {
                include!("gen/envoy.service.auth.v3.rs");
            }
        }
    }
    pub mod r#type {
        pub mod v3 {
            include!("gen/envoy.r#type.v3.rs");
        }
    }
}

/// Google's API, as far as it is needed.
pub mod google {
    pub mod rpc {
        include!("gen/google.rpc.rs");
    }
}

/// The descriptors of everything above, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptors.bin");
