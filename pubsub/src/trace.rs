//! A publish and its deliveries in one trace, with the feature `trace-context`. Without it these are nothing.

#[cfg(feature = "trace-context")]
mod context;
#[cfg(feature = "trace-context")]
pub(crate) use context::{Traced, delivery};

#[cfg(not(feature = "trace-context"))]
pub(crate) use nothing::{Traced, delivery};

#[cfg(not(feature = "trace-context"))]
mod nothing {
    use talkie_discovery::NodeName;

    use crate::proto::headers::Headers;
    use crate::topic::{BusName, Topic};

    /// What is sent, as it was given.
    pub(crate) struct Traced<'a>(&'a Headers);

    /// A delivery under way.
    pub(crate) struct Within;

    impl<'a> Traced<'a> {
        pub(crate) const fn publish(_: &BusName, _: &Topic, headers: &'a Headers) -> Self {
            Self(headers)
        }

        pub(crate) const fn here(headers: &'a Headers) -> Self {
            Self(headers)
        }

        pub(crate) const fn headers(&self) -> &Headers {
            self.0
        }

        pub(crate) fn within<F>(&self, future: F) -> F {
            future
        }

        pub(crate) fn run<R>(&self, what: impl FnOnce() -> R) -> R {
            what()
        }
    }

    pub(crate) const fn delivery(_: &Headers, _: &Topic, _: &NodeName) -> Within {
        Within
    }
}
