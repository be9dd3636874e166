//! The parts of DataFusion that reading images takes, under the same paths.

pub use object_store;

pub mod arrow {
    pub use arrow_buffer as buffer;

    pub mod compute {
        pub mod kernels {
            pub mod cast_utils {
                pub use arrow_cast::parse::string_to_timestamp_nanos;
            }
        }
    }
}
