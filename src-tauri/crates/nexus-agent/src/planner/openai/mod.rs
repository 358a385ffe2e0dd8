//! Plans and rulings from a model behind an OpenAI-compatible service.
//!
//! `talk` carries a conversation on and asks again where that is polite, `chat` and `responses`
//! spell the two interfaces such a service can have, `events` cuts a stream into its events,
//! `hearing` gathers what the model says, `key` keeps the key out of it, and `trouble` names
//! every way in which there is no answer.

mod chat;
mod events;
mod hearing;
mod key;
mod responses;
mod talk;
mod trouble;

use super::{
    Case, Judged, NoPlan, PlanBrief, Planned, Planner, Thinks,
    asking::{settle, within},
    form::{Form, read_judgement, read_plan},
    shape::shape,
    words::{Sight, judge_matter, judge_rules, plan_matter, plan_rules},
};
use crate::BaseUrl;
use async_trait::async_trait;
use key::Key;
use reqwest::{Client, header::HeaderValue, redirect};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use talk::Conversation;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The interfaces that an OpenAI-compatible service can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// Chat Completions, which nearly every such service has.
    #[default]
    Chat,
    /// The Responses API, OpenAI's own newer one.
    Responses,
}

/// Which service a planner asks, for what, and how patiently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannerSettings {
    /// With the version, as in [`OpenAiPlanner::BASE_URL`].
    pub base_url: BaseUrl,
    /// The service's name of the model.
    pub model: String,
    pub api: Api,
    /// Who pays, where the key belongs to more than one; sent as `OpenAI-Organization`.
    pub organisation: Option<String>,
    /// How long a plan or a ruling may take, with everything that is asked for it.
    pub time_limit: Duration,
    /// How long the service may say nothing, before its answer and in the middle of it.
    pub silence_limit: Duration,
    /// How long it is waited before a service that failed is asked once more.
    pub retry_wait: Duration,
}

impl PlannerSettings {
    /// Five minutes: a model that thinks about a large project takes one or two, and may have
    /// to mend its answer twice.
    pub const TIME_LIMIT: Duration = Duration::from_secs(300);
    /// Two minutes: a service that does not stream says nothing until it is done.
    pub const SILENCE_LIMIT: Duration = Duration::from_secs(120);
    /// Two seconds: long enough for a server that restarts behind a gateway.
    pub const RETRY_WAIT: Duration = Duration::from_secs(2);

    /// Chat Completions of this model, with the usual limits.
    pub fn new(base_url: BaseUrl, model: impl Into<String>) -> Self {
        Self {
            base_url,
            model: model.into(),
            api: Api::Chat,
            organisation: None,
            time_limit: Self::TIME_LIMIT,
            silence_limit: Self::SILENCE_LIMIT,
            retry_wait: Self::RETRY_WAIT,
        }
    }
}

/// A planner that asks a model over the network.
#[derive(Clone, Debug)]
pub struct OpenAiPlanner {
    settings: PlannerSettings,
    key: Key,
    http: Client,
}

impl OpenAiPlanner {
    /// OpenAI's own service.
    pub const BASE_URL: &str = "https://api.openai.com/v1";
    /// The model that is asked when no other is named.
    pub const MODEL: &str = "gpt-4-turbo";

    /// A planner that asks the service of these settings, and shows this key to it alone.
    pub fn new(settings: PlannerSettings, key: SecretString) -> Result<Self, NoPlan> {
        if let Some(name) = &settings.organisation {
            HeaderValue::from_str(name).map_err(|_| {
                NoPlan::unasked("the planner's organisation holds characters that none has: correct it in the settings")
            })?;
        }
        let mut http = Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            // The key goes where the person said and nowhere else.
            .redirect(redirect::Policy::none());
        if settings.base_url.as_str().starts_with("http:") {
            // This machine is reached directly: a proxy would see the key in clear.
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| {
            let reason = trouble::reason(error);
            NoPlan::unasked(format!("no connection can be prepared: {reason}"))
        })?;
        Ok(Self {
            settings,
            key: Key::new(key),
            http,
        })
    }
}

#[async_trait]
impl Planner for OpenAiPlanner {
    async fn plan(&self, brief: &PlanBrief, thinks: &Thinks) -> Result<Planned, NoPlan> {
        let rules = plan_rules(brief.seats, Sight::Told);
        let mut talk = Conversation::new(self, Form::plan(), &rules, thinks);
        let looked_at = brief.clone();
        let work = async {
            let looking = tokio::task::spawn_blocking(move || shape(&looked_at));
            let shape = looking.await.map_err(|_| "NEXUS is shutting down")?;
            settle(&mut talk, plan_matter(brief, &shape), read_plan).await
        };
        let plan = within(self.settings.time_limit, work).await;
        talk.spent.planned(plan, &self.settings.model)
    }

    async fn judge(&self, case: &Case, thinks: &Thinks) -> Result<Judged, NoPlan> {
        let rules = judge_rules(Sight::Told);
        let mut talk = Conversation::new(self, Form::ruling(), &rules, thinks);
        let read = |answer: &str| read_judgement(answer, case);
        let work = settle(&mut talk, judge_matter(case), read);
        let judgement = within(self.settings.time_limit, work).await;
        talk.spent.judged(judgement, &self.settings.model)
    }
}
