//! A conversation with a model over the network: each question is a request with all that was
//! said before.
//!
//! A service that cannot do something that is asked of it is asked without that. One that fails
//! or takes no more requests for a moment is asked again, once for each and twice at most.

use super::{
    Api, OpenAiPlanner, PlannerSettings, chat,
    events::{Event, Events, Overlong},
    hearing::{ANSWER_LIMIT, Hearing},
    responses,
    trouble::{Objection, Trouble},
};
use crate::planner::{
    Thinks,
    asking::{Spent, Talk},
    form::Form,
};
use async_trait::async_trait;
use reqwest::{RequestBuilder, Response, header};
use serde_json::{Value, json};
use std::future::Future;
use tokio::time::{sleep, timeout};

/// How often all of a conversation's requests together may be made again.
const RETRIES: u32 = 2;
/// The longest stream that is read, in bytes: each few letters of an answer come in an event
/// of some hundred.
const STREAM_LIMIT: usize = 128 * 1024 * 1024;
/// How much of a failure is read, in bytes.
const FAILURE_LIMIT: usize = 64 * 1024;

/// What is asked of a service beyond the answer itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// The form by schema; else any JSON object, its form told in words only.
    pub(super) schema: bool,
    /// The answer as it comes.
    pub(super) stream: bool,
    /// What a stream used.
    pub(super) counts_stream: bool,
}

impl Manner {
    /// Leaves out what the service does not know. `false` when that was not asked for.
    fn concede(&mut self, objection: Objection) -> bool {
        let asked_for = match objection {
            Objection::Schema => &mut self.schema,
            Objection::StreamedUsage => &mut self.counts_stream,
            Objection::Stream => &mut self.stream,
        };
        std::mem::replace(asked_for, false)
    }
}

/// What a request is made of.
pub(super) struct Request<'a> {
    pub(super) model: &'a str,
    pub(super) said: &'a [Value],
    pub(super) form: &'a Form,
}

/// A conversation about one plan or ruling.
pub(super) struct Conversation<'a> {
    planner: &'a OpenAiPlanner,
    thinks: &'a Thinks,
    form: Form,
    said: Vec<Value>,
    manner: Manner,
    retries: u32,
    pub(super) spent: Spent,
}

#[async_trait]
impl Talk for Conversation<'_> {
    async fn answer(&mut self, words: String) -> Result<String, String> {
        self.said.push(message("user", &words));
        let answer = self.ask().await.map_err(|trouble| {
            let reason = trouble.to_string();
            self.planner.key.hide(&reason).into_owned()
        })?;
        self.said.push(message("assistant", &answer));
        Ok(answer)
    }
}

fn message(role: &str, content: &str) -> Value {
    json!({ "role": role, "content": content })
}

impl<'a> Conversation<'a> {
    /// One in which the model keeps to these rules and answers in this form.
    pub(super) fn new(
        planner: &'a OpenAiPlanner,
        form: Form,
        rules: &str,
        thinks: &'a Thinks,
    ) -> Self {
        Self {
            planner,
            thinks,
            form,
            said: vec![message("system", rules)],
            manner: Manner {
                schema: true,
                stream: true,
                counts_stream: true,
            },
            retries: 0,
            spent: Spent::default(),
        }
    }

    fn settings(&self) -> &'a PlannerSettings {
        &self.planner.settings
    }

    async fn ask(&mut self) -> Result<String, Trouble> {
        let mut passed = Vec::new();
        loop {
            let trouble = match self.ask_once().await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            if let Trouble::Rejected {
                objection: Some(objection),
                ..
            } = &trouble
                && self.manner.concede(*objection)
            {
                tracing::debug!(?objection, "the model is asked for less");
                continue;
            }
            let Some((passing, wait)) = trouble.passes(self.settings().retry_wait) else {
                return Err(trouble);
            };
            if passed.contains(&passing) || self.retries == RETRIES {
                return Err(trouble);
            }
            passed.push(passing);
            self.retries += 1;
            tracing::debug!(?trouble, ?wait, "the model service is asked again");
            sleep(wait).await;
        }
    }

    async fn ask_once(&mut self) -> Result<String, Trouble> {
        let mut hearing = Hearing::new(&self.planner.key, self.settings(), self.thinks);
        self.spent.calls += 1;
        let heard = self.hear(&mut hearing).await;
        // It is paid for whatever came of it.
        self.spent.used(hearing.usage);
        heard?;
        hearing.conclude()
    }

    async fn hear(&self, hearing: &mut Hearing<'a>) -> Result<(), Trouble> {
        let settings = self.settings();
        let sent = self.unless_silent(self.request().send()).await?;
        let response = sent.map_err(|error| Trouble::of_connection(error, false, settings))?;
        if !response.status().is_success() {
            return Err(self.failure(response).await);
        }
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.to_ascii_lowercase().starts_with("text/event-stream") {
            return self.listen(response, hearing).await;
        }
        // A service may answer at once, whatever it was asked for.
        let body = self.read(response).await?;
        match settings.api {
            Api::Chat => chat::whole(&body, hearing),
            Api::Responses => responses::whole(&body, hearing),
        }
    }

    fn request(&self) -> RequestBuilder {
        let settings = self.settings();
        let request = Request {
            model: &settings.model,
            said: &self.said,
            form: &self.form,
        };
        let (path, body) = match settings.api {
            Api::Chat => (chat::PATH, chat::request(&request, self.manner)),
            Api::Responses => (responses::PATH, responses::request(&request, self.manner)),
        };
        let address = format!("{}/{path}", settings.base_url);
        let request = self.planner.http.post(address).json(&body);
        let request = request.bearer_auth(self.planner.key.expose());
        match &settings.organisation {
            Some(name) => request.header("OpenAI-Organization", name),
            None => request,
        }
    }

    /// Follows an answer as it comes.
    async fn listen(
        &self,
        mut response: Response,
        hearing: &mut Hearing<'a>,
    ) -> Result<(), Trouble> {
        let mut events = Events::default();
        let mut received = 0;
        loop {
            let chunk = match self.chunk(&mut response, received > 0).await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                // The answer is whole; only its trailer is missing.
                Err(_) if hearing.is_over() => return Ok(()),
                Err(trouble) => return Err(trouble),
            };
            received += chunk.as_ref().len();
            if received > STREAM_LIMIT {
                return Err(Trouble::TooLong);
            }
            let come = events
                .take(chunk.as_ref())
                .map_err(|Overlong| Trouble::TooLong)?;
            for event in come {
                if self.take(&event, hearing)? {
                    return Ok(());
                }
            }
        }
        let last = events.finish().map(|event| self.take(&event, hearing));
        match last {
            // Half an event is where the service was cut off, and the answer is not over.
            None | Some(Ok(_) | Err(Trouble::Malformed { .. })) => Ok(()),
            Some(Err(trouble)) => Err(trouble),
        }
    }

    fn take(&self, event: &Event, hearing: &mut Hearing<'a>) -> Result<bool, Trouble> {
        match self.settings().api {
            Api::Chat => chat::event(event, hearing),
            Api::Responses => responses::event(event, hearing),
        }
    }

    /// An answer in one piece.
    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk(&mut response, !body.is_empty()).await? {
            body.extend_from_slice(chunk.as_ref());
            if body.len() > ANSWER_LIMIT {
                return Err(Trouble::TooLong);
            }
        }
        Ok(body)
    }

    /// What the service says instead of an answer. Its status counts, even if it says no more.
    async fn failure(&self, mut response: Response) -> Trouble {
        let mut body = Vec::new();
        while body.len() < FAILURE_LIMIT
            && let Ok(Some(chunk)) = self.chunk(&mut response, true).await
        {
            body.extend_from_slice(chunk.as_ref());
        }
        let status = response.status().as_u16();
        let (key, settings) = (&self.planner.key, self.settings());
        Trouble::of_answer(status, response.headers(), &body, key, settings)
    }

    async fn chunk(
        &self,
        response: &mut Response,
        in_the_middle: bool,
    ) -> Result<Option<impl AsRef<[u8]> + use<>>, Trouble> {
        let settings = self.settings();
        let chunk = self.unless_silent(response.chunk()).await?;
        chunk.map_err(|error| Trouble::of_connection(error, in_the_middle, settings))
    }

    async fn unless_silent<T>(&self, waiting: impl Future<Output = T>) -> Result<T, Trouble> {
        let limit = self.settings().silence_limit;
        let silent = |_| Trouble::Silent {
            seconds: limit.as_secs(),
        };
        timeout(limit, waiting).await.map_err(silent)
    }
}
