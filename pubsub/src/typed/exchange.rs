//! Requests and replies of values.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Typed, encode, form};
use crate::answer::Reply;
use crate::delivery::QueueLimits;
use crate::error::{ReplyError, RequestError, RespondError};
use crate::proto::headers::Headers;
use crate::request::{Answers, RequestOptions};
use crate::respond::{Request, Requests};
use crate::topic::{ToPattern, ToTopic};

impl<T: Serialize + DeserializeOwned + 'static> Typed<'_, T> {
    /// As [`Bus::request`](crate::Bus::request): asks with a `T`, and takes an `A` for an answer
    /// ([`Request::reply_typed`](crate::Request::reply_typed)).
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Debug, Serialize, Deserialize)]
    /// struct Dim {
    ///     percent: u8,
    /// }
    ///
    /// # async fn example(bus: talkie_pubsub::Bus) -> Result<(), Box<dyn std::error::Error>> {
    /// // The lamp.
    /// let mut requests = bus.typed::<Dim>().respond("lamps/7")?;
    /// # let lamp = async {
    /// while let Some(request) = requests.next().await {
    ///     let was = Dim { percent: 100 - request.payload.percent };
    ///     if let Err(error) = request.reply_typed(&was) {
    ///         eprintln!("not replied: {error}");
    ///     }
    /// }
    /// # };
    /// // Whoever dims it, and hears how bright it was.
    /// let was = bus.typed().request::<Dim>("lamps/7", &Dim { percent: 30 }, Duration::from_secs(1)).await?;
    /// println!("it was at {} %", was.payload.percent);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As there; where the value cannot be encoded, the responder takes another type than `T`, or its reply is no `A`.
    pub async fn request<A: Serialize + DeserializeOwned + 'static>(
        &self,
        to: impl ToTopic,
        value: &T,
        within: Duration,
    ) -> Result<Reply<A>, RequestError> {
        self.request_with(to, value, RequestOptions::within(within)).await
    }

    /// As [`Bus::request_with`](crate::Bus::request_with).
    ///
    /// # Errors
    /// As there; where the value cannot be encoded, the responder takes another type than `T`, or its reply is no `A`.
    pub async fn request_with<A: Serialize + DeserializeOwned + 'static>(
        &self,
        to: impl ToTopic,
        value: &T,
        options: RequestOptions,
    ) -> Result<Reply<A>, RequestError> {
        self.bus.request_as(form(), to.to_topic()?, self.encode(value)?, options).await
    }

    /// As [`Bus::request_all`](crate::Bus::request_all). Values are decoded when they are read; a reply that is no `A` is told as
    /// missing.
    ///
    /// # Errors
    /// As there, and where the value cannot be encoded.
    pub async fn request_all<A: Serialize + DeserializeOwned + 'static>(
        &self,
        to: impl ToTopic,
        value: &T,
        within: Duration,
    ) -> Result<Answers<A>, RequestError> {
        self.request_all_with(to, value, RequestOptions::within(within)).await
    }

    /// As [`Bus::request_all_with`](crate::Bus::request_all_with), and else as [`request_all`](Self::request_all).
    ///
    /// # Errors
    /// As there, and where the value cannot be encoded.
    pub async fn request_all_with<A: Serialize + DeserializeOwned + 'static>(
        &self,
        to: impl ToTopic,
        value: &T,
        options: RequestOptions,
    ) -> Result<Answers<A>, RequestError> {
        self.bus.request_all_as(form(), to.to_topic()?, self.encode(value)?, options).await
    }

    /// As [`Bus::respond`](crate::Bus::respond). What is no `T` is not given: its asker is told at once.
    ///
    /// # Errors
    /// As there.
    pub fn respond(&self, to: impl ToPattern) -> Result<Requests<T>, RespondError> {
        self.respond_with(to, QueueLimits::default())
    }

    /// As [`Bus::respond_with`](crate::Bus::respond_with).
    ///
    /// # Errors
    /// As there.
    pub fn respond_with(&self, to: impl ToPattern, limits: QueueLimits) -> Result<Requests<T>, RespondError> {
        self.bus.respond_as(form(), to.to_pattern()?, limits)
    }
}

impl<T> Request<T> {
    /// Replies with a value.
    ///
    /// # Errors
    /// As [`reply`](Self::reply), and where the value cannot be encoded: the asker is then told that the request was dropped.
    pub fn reply_typed<A: Serialize + DeserializeOwned + 'static>(self, value: &A) -> Result<(), ReplyError> {
        self.reply_typed_with(value, Headers::new())
    }

    /// Replies with a value, and headers beside it.
    ///
    /// # Errors
    /// As [`reply_typed`](Self::reply_typed).
    pub fn reply_typed_with<A: Serialize + DeserializeOwned + 'static>(
        self,
        value: &A,
        headers: Headers,
    ) -> Result<(), ReplyError> {
        let payload = encode(value)?;
        self.reply_with(payload, headers)
    }
}
