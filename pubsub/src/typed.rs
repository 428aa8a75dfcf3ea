//! A bus for values of one type.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::audience::PublishOptions;
use crate::bus::Bus;
use crate::delivery::Receipt;
use crate::error::{PublishError, SubscribeError};
use crate::options::SubscribeOptions;
use crate::proto::fingerprint::Fingerprint;
use crate::proto::value::{self, EncodeError};
use crate::subscription::{Form, Subscription};
use crate::topic::{ToPattern, ToTopic};

mod exchange;

/// Publishes and subscribes with values instead of bytes; of [`Bus::typed`]. A cheap handle.
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use talkie_pubsub::{Bus, Delivery};
///
/// #[derive(Debug, Serialize, Deserialize)]
/// struct Order {
///     drink: String,
///     cups: u8,
/// }
///
/// # async fn example(bus: Bus) -> Result<(), Box<dyn std::error::Error>> {
/// let mut orders = bus.typed::<Order>().subscribe("orders/*")?;
/// bus.typed().publish("orders/42", &Order { drink: "coffee".into(), cups: 2 }).await?;
/// while let Some(delivery) = orders.next().await {
///     match delivery {
///         Delivery::Message(order) => println!("{}: {:?}", order.topic, order.payload),
///         Delivery::Gap { missed, .. } => eprintln!("{missed} orders are lost"),
///         // Another program means something else by "orders", or an older version of this one does.
///         Delivery::Malformed { name, error, .. } => eprintln!("from {name}: {error}"),
///         _ => {}
///     }
/// }
/// # Ok(()) }
/// ```
///
/// # What counts as the same type
/// The names of structs, enums, fields and variants (as serde renames them), their order, and the types within: any change
/// makes another type, so that programs of two versions tell each other instead of guessing. Where the definition stands
/// does not count, so two programs may each have their own; a struct of the same form under another name is another
/// type, and `#[serde(rename = "…")]` gives it the old name back. `Vec<T>`, `VecDeque<T>` and `Box<[T]>` are one type, as
/// are `T` and `Box<T>`, or `u64` and `usize`: they are the same bytes.
///
/// Not seen are: what the values mean (a length in metres or in feet), what a type of its own `Deserialize` decides by the
/// values, and in tuples what stands behind a type that takes none of the values that are tried (a text of a form
/// of its own). PROTOCOL.md, section 4, has every byte.
///
/// # Limits
/// Values are written by [postcard](https://postcard.jamesmunns.com), behind eight bytes of fingerprint that count against
/// [`Node::max_message`](crate::Node::max_message). Postcard writes no names: what needs them (`flatten`, `untagged`, `tag`, a
/// field that `skip_serializing_if` leaves out) is an error when published. A field that is only ever read or only ever
/// written (`skip_serializing`, `skip_deserializing` alone) must not be: readers could not know. Values within values may be 128 deep. A `T` is `'static`, as good as every type that can be
/// deserialized.
///
/// Typed and untyped users share topics: an untyped subscriber gets the fingerprint and the value as bytes, and what is
/// published untyped is `Malformed` for a typed one.
pub struct Typed<'a, T> {
    bus: &'a Bus,
    fingerprint: Fingerprint,
    /// Whether values can be read again.
    readable: bool,
    of: PhantomData<fn(&T) -> T>,
}

impl<'a, T: Serialize + DeserializeOwned + 'static> Typed<'a, T> {
    pub(crate) fn new(bus: &'a Bus) -> Self {
        let (fingerprint, readable) = fingerprint::<T>();
        Self { bus, fingerprint, readable, of: PhantomData }
    }

    /// As [`Bus::publish`].
    ///
    /// # Errors
    /// As there, and where the value cannot be encoded.
    pub async fn publish(&self, to: impl ToTopic, value: &T) -> Result<Receipt, PublishError> {
        self.bus.publish(to, self.encode(value)?).await
    }

    /// As [`Bus::try_publish`].
    ///
    /// # Errors
    /// As there, and where the value cannot be encoded.
    pub fn try_publish(&self, to: impl ToTopic, value: &T) -> Result<Receipt, PublishError> {
        self.bus.try_publish(to, self.encode(value)?)
    }

    /// As [`Bus::publish_with`].
    ///
    /// # Errors
    /// As there, and where the value cannot be encoded.
    pub async fn publish_with(
        &self,
        to: impl ToTopic,
        value: &T,
        options: impl Into<PublishOptions>,
    ) -> Result<Receipt, PublishError> {
        self.bus.publish_with(to, self.encode(value)?, options).await
    }

    /// As [`Bus::try_publish_with`].
    ///
    /// # Errors
    /// As there, and where the value cannot be encoded.
    pub fn try_publish_with(
        &self,
        to: impl ToTopic,
        value: &T,
        options: impl Into<PublishOptions>,
    ) -> Result<Receipt, PublishError> {
        self.bus.try_publish_with(to, self.encode(value)?, options)
    }

    /// As [`Bus::subscribe`]. Values are decoded when they are read.
    ///
    /// # Errors
    /// As there.
    pub fn subscribe(&self, to: impl ToPattern) -> Result<Subscription<T>, SubscribeError> {
        self.subscribe_with(to, SubscribeOptions::new())
    }

    /// As [`Bus::subscribe_with`].
    ///
    /// # Errors
    /// As there.
    pub fn subscribe_with(
        &self,
        to: impl ToPattern,
        options: impl Into<SubscribeOptions>,
    ) -> Result<Subscription<T>, SubscribeError> {
        Ok(self.bus.subscribe_with(to, options)?.of(form()))
    }

    fn encode(&self, value: &T) -> Result<Bytes, EncodeError> {
        if self.readable { value::encode(&self.fingerprint, value) } else { Err(EncodeError::unreadable()) }
    }
}

impl<T> Typed<'_, T> {
    /// The fingerprint of the type: for logs, and to compare two programs by eye.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl<T> Clone for Typed<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Typed<'_, T> {}

impl<T> fmt::Debug for Typed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").field("bus", self.bus).field("fingerprint", &self.fingerprint).finish()
    }
}

/// How payloads are read as values of a type.
fn form<T: DeserializeOwned + 'static>() -> Form<T> {
    Form { fingerprint: fingerprint::<T>().0, decode: |own, payload| value::decode(own, &payload) }
}

/// A value as a payload.
pub(crate) fn encode<T: Serialize + DeserializeOwned + 'static>(value: &T) -> Result<Bytes, EncodeError> {
    let (fingerprint, readable) = fingerprint::<T>();
    if readable { value::encode(&fingerprint, value) } else { Err(EncodeError::unreadable()) }
}

/// That of a type, and whether its values can be read again. Found once per type and process.
pub(crate) fn fingerprint<T: DeserializeOwned + 'static>() -> (Fingerprint, bool) {
    static KNOWN: RwLock<Option<HashMap<TypeId, (Fingerprint, bool)>>> = RwLock::new(None);
    let id = TypeId::of::<T>();
    let known =
        KNOWN.read().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|all| all.get(&id).copied());
    known.unwrap_or_else(|| {
        // Not under the lock: a type's own code runs here, and may itself ask for a fingerprint.
        let found = Fingerprint::look_at::<T>();
        KNOWN.write().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(id, found);
        found
    })
}
