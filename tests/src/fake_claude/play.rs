//! Playing turns.

use super::{Action, Cut, Memory, Past, Pipe, Script, StartFault, role_of};
use crate::{
    ledger::{Deed, Ledger, LedgerTurn, step_of},
    script::{Values, fill, fill_all},
};
use nexus_core::Role;
use serde_json::{Map, Value, json};
use std::{
    env, fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{self, ExitCode},
    thread,
    time::Duration,
};
use uuid::Uuid;

/// How often it looks whether it may go on.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Tools that the real program does not ask about.
const READ_ONLY: [&str; 3] = ["Read", "Glob", "Grep"];

pub(super) struct Player {
    pipe: Pipe,
    memory: Memory,
    script: Script,
    session: String,
    past: Past,
    budget: Option<f64>,
    /// In dollars, by this process.
    spent: f64,
    role: Option<Role>,
    cwd: PathBuf,
}

/// What a turn has come to so far.
#[derive(Debug, Default)]
struct Turn {
    /// The id of its prompt.
    prompt: Value,
    text: String,
    /// The answer to the last tool or call.
    last: String,
    denials: Vec<Value>,
    input: u64,
    output: u64,
    /// `None` when a part of it has no price.
    cost: Option<f64>,
    failure: Option<Failure>,
    recorded: Option<Recorded>,
}

/// Where the deeds of a turn are recorded.
#[derive(Debug)]
struct Recorded {
    ledger: Ledger,
    turn: LedgerTurn,
}

#[derive(Debug)]
struct Failure {
    status: Option<u16>,
    message: String,
}

impl Player {
    pub(super) fn new(
        pipe: Pipe,
        memory: Memory,
        script: Script,
        session: String,
        past: Past,
        budget: Option<f64>,
    ) -> Self {
        Self {
            pipe,
            memory,
            script,
            session,
            past,
            budget,
            spent: 0.0,
            role: None,
            cwd: env::current_dir().unwrap_or_default(),
        }
    }

    /// Serves requests and prompts until the input ends.
    pub(super) fn run(&mut self, has_key: bool) -> ExitCode {
        while let Some(line) = self.pipe.next() {
            match (line["type"].as_str(), line["request"]["subtype"].as_str()) {
                (Some("control_request"), Some("initialize")) => self.initialize(&line, has_key),
                (Some("control_request"), Some("get_context_usage")) => self.context_usage(&line),
                (Some("control_request"), _) => self.pipe.answer(&line["request_id"], &json!({})),
                (Some("user"), _) => {
                    if let Err(Cut::Exit(code)) = self.turn(&line) {
                        return ExitCode::from(code);
                    }
                }
                _ => {}
            }
        }
        ExitCode::SUCCESS
    }

    fn initialize(&mut self, line: &Value, has_key: bool) {
        let prompt = line["request"]["appendSystemPrompt"].as_str();
        self.role = prompt.and_then(role_of);
        let account = match (has_key, self.script.logged_in) {
            (true, _) => json!({"tokenSource": "none", "apiKeySource": "ANTHROPIC_API_KEY",
                "apiProvider": "firstParty"}),
            (false, true) => json!({"subscriptionType": "Claude Max", "apiProvider": "firstParty"}),
            (false, false) => json!({"tokenSource": "none", "apiProvider": "firstParty"}),
        };
        let response = json!({"account": account, "commands": [], "pid": process::id()});
        match self.script.start {
            Some(StartFault::Hang) => {}
            Some(StartFault::Chatter) => {
                for id in ["", "interrupt", "memory", "nobody's"] {
                    self.pipe.answer(&json!(id), &json!({}));
                }
                for _ in 0..3 {
                    self.pipe.answer(&line["request_id"], &response);
                }
            }
            None => self.pipe.answer(&line["request_id"], &response),
        }
    }

    fn context_usage(&self, line: &Value) {
        let id = &line["request_id"];
        if self.script.context_usage {
            let words = self.past.prompts.iter().map(|prompt| prompt.len() / 4 + 1);
            let tokens: usize = words.sum();
            let said = json!({"userMessageTokens": tokens, "assistantMessageTokens": tokens});
            let usage = json!({"totalTokens": 3000 + tokens, "messageBreakdown": said});
            self.pipe.answer(id, &usage);
        } else {
            self.pipe
                .write(&json!({"type": "control_response", "response":
                {"subtype": "error", "request_id": id,
                "error": "Unsupported control request subtype: get_context_usage"}}));
        }
    }

    fn turn(&mut self, line: &Value) -> Result<(), Cut> {
        let given = line["message"]["content"].as_str().unwrap_or_default();
        let prompt = without_notes(given);
        let uuid = line["uuid"].clone();
        let mut turn = Turn {
            prompt: uuid.clone(),
            cost: Some(0.0),
            recorded: self.recorded(&prompt),
            ..Turn::default()
        };
        turn.note(Deed::Began);
        self.memory
            .log(&json!({"prompt": prompt, "role": self.role, "session": self.session}));
        self.past.prompts.push(prompt.clone());
        // Kept before anything is done, as the real one does: a crash loses no prompt.
        let message = json!({"role": "user", "content": given});
        self.memory
            .append(&self.session, &mut self.past, "user", &message);
        self.memory.keep(&self.session, &self.past);
        self.lifecycle(&uuid, "queued");
        self.lifecycle(&uuid, "started");
        self.write(json!({"type": "system", "subtype": "init", "cwd": self.cwd,
            "model": "fake", "tools": [], "permissionMode": "default"}));
        let played = self.play(&prompt, &mut turn);
        let end = match played {
            Err(Cut::Exit(code)) => return Err(Cut::Exit(code)),
            Err(Cut::Interrupted | Cut::InputClosed) => "cancelled",
            Ok(()) if turn.failure.is_some() => "cancelled",
            Ok(()) => "completed",
        };
        turn.note(Deed::Ends);
        self.finish(&turn, played.is_err());
        self.lifecycle(&uuid, end);
        Ok(())
    }

    /// Where this turn is recorded, if it is.
    fn recorded(&self, prompt: &str) -> Option<Recorded> {
        let turn = LedgerTurn {
            once: Uuid::new_v4(),
            session: self.session.clone(),
            role: self.role,
            cwd: self.cwd.clone(),
            step: step_of(prompt).to_owned(),
            pid: process::id(),
        };
        let ledger = Ledger::at(self.script.ledger.clone()?);
        Some(Recorded { ledger, turn })
    }

    fn play(&self, prompt: &str, turn: &mut Turn) -> Result<(), Cut> {
        let (actions, mut values) = self.choose(prompt);
        if let Some(recorded) = &turn.recorded {
            values.insert("once".to_owned(), recorded.turn.once.to_string());
        }
        for action in actions {
            self.pipe
                .pause(Duration::ZERO)
                .or_else(unless_interrupted)?;
            values.insert("last".to_owned(), turn.last.clone());
            self.act(&action, &values, turn)?;
            if turn.failure.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// The actions for this prompt, and the values for their texts.
    fn choose(&self, prompt: &str) -> (Vec<Action>, Values) {
        let mut values = Values::from([
            ("prompt".to_owned(), prompt.to_owned()),
            ("cwd".to_owned(), self.cwd.display().to_string()),
            ("turn".to_owned(), self.past.prompts.len().to_string()),
        ]);
        for (number, rule) in self.script.rules.iter().enumerate() {
            let when = &rule.when;
            let meant = when.role.is_none_or(|role| self.role == Some(role))
                && when
                    .prompt
                    .as_ref()
                    .is_none_or(|pattern| pattern.is_in(prompt));
            if !meant {
                continue;
            }
            let attempt = self.memory.attempt(number);
            if when.attempt.is_none_or(|wanted| wanted == attempt) {
                let groups = when.prompt.as_ref().map(|pattern| pattern.groups(prompt));
                values.extend(groups.into_iter().flatten());
                return (rule.r#do.clone(), values);
            }
        }
        (self.script.otherwise.clone(), values)
    }

    #[expect(clippy::print_stderr, reason = "the script wants it")]
    fn act(&self, action: &Action, values: &Values, turn: &mut Turn) -> Result<(), Cut> {
        match action {
            Action::Say(text) => self.say(&fill(text, values), turn),
            Action::Think(text) => {
                let thinking = fill(text, values);
                self.assistant(&json!({"type": "thinking", "thinking": thinking, "signature": ""}));
            }
            Action::Use {
                tool,
                input,
                output,
            } => {
                let input = fill_all(&Value::Object(input.clone()), values);
                self.use_tool(tool, &input, &fill(output, values), turn)?;
            }
            Action::Call { tool, with } => {
                let arguments = fill_all(&Value::Object(with.clone()), values);
                self.call(tool, &arguments, turn)?;
            }
            Action::Usage {
                input,
                output,
                cost,
            } => {
                turn.input += input;
                turn.output += output;
                turn.cost = turn.cost.zip(*cost).map(|(sum, cost)| sum + cost);
            }
            Action::Retry { status } => {
                self.write(json!({"type": "system", "subtype": "api_retry",
                "attempt": 1, "max_retries": 3, "retry_delay_ms": 1, "error_status": status,
                "error": "server_error"}))
            }
            Action::Limit {
                status,
                resets_at,
                resets_as,
            } => {
                let told = resets_as
                    .as_ref()
                    .and_then(|path| fs::read_to_string(path).ok());
                let told = told.and_then(|text| text.trim().parse().ok());
                let resets_at = told.or(*resets_at);
                self.write(json!({"type": "rate_limit_event", "rate_limit_info":
                    {"status": status, "resetsAt": resets_at}}));
            }
            Action::Fail {
                status,
                kind,
                message,
            } => self.fail(*status, kind, message, turn),
            Action::Print(line) => self.pipe.write_raw(&fill(line, values)),
            Action::Pour { text, times } => {
                self.pipe.pour(fill(text, values).as_bytes(), *times);
            }
            Action::Bytes(bytes) => self.pipe.pour(bytes, 1),
            Action::End(fields) => {
                let mut line = self.result(turn, turn.cost.unwrap_or_default());
                line.as_object_mut()
                    .into_iter()
                    .for_each(|line| line.extend(fields.clone()));
                self.pipe.write(&line);
            }
            Action::Complain(text) => eprintln!("{}", fill(text, values)),
            Action::WaitFor(path) => {
                let path = self.cwd.join(fill(&path.to_string_lossy(), values));
                while !path.exists() {
                    self.pipe.pause(LOOK_AGAIN)?;
                }
            }
            Action::Hang => loop {
                self.pipe.pause(Duration::from_secs(1))?;
            },
            Action::Deafen => deafen(),
            Action::Exit(code) => return Err(Cut::Exit(*code)),
            Action::Crash => process::abort(),
            Action::Become(script) => {
                let error = become_script(&fill(script, values));
                eprintln!("Error: {error}");
                return Err(Cut::Exit(1));
            }
        }
        Ok(())
    }

    fn say(&self, text: &str, turn: &mut Turn) {
        self.write(
            json!({"type": "stream_event", "event": {"type": "content_block_delta",
            "index": 0, "delta": {"type": "text_delta", "text": text}}}),
        );
        self.assistant(&json!({"type": "text", "text": text}));
        text.clone_into(&mut turn.text);
    }

    fn use_tool(
        &self,
        tool: &str,
        input: &Value,
        output: &str,
        turn: &mut Turn,
    ) -> Result<(), Cut> {
        let id = format!("toolu_{}", Uuid::new_v4().simple());
        self.assistant(&json!({"type": "tool_use", "id": id, "name": tool, "input": input}));
        let allowed = if READ_ONLY.contains(&tool) {
            Ok(input.clone())
        } else {
            self.permission(tool, input, &id)?
        };
        let (ok, said) = match allowed {
            Ok(input) => match carry_out(&self.cwd, tool, &input) {
                Ok(Some(said)) => {
                    let path = input["file_path"].as_str().unwrap_or_default();
                    turn.note(Deed::Wrote(path.to_owned()));
                    (true, said)
                }
                Ok(None) => (true, answer_of(&input, output)),
                Err(error) => (false, error.to_string()),
            },
            Err(reason) => {
                turn.denials
                    .push(json!({"tool_name": tool, "tool_use_id": id, "tool_input": input}));
                (false, reason)
            }
        };
        self.tool_result(&id, ok, &said);
        turn.last = said;
        Ok(())
    }

    /// Asks whether the tool may be used. The input as it was allowed, or the reason against.
    fn permission(
        &self,
        tool: &str,
        input: &Value,
        id: &str,
    ) -> Result<Result<Value, String>, Cut> {
        let request = json!({"subtype": "can_use_tool", "tool_name": tool, "display_name": tool,
            "input": input, "tool_use_id": id});
        let asked = self.pipe.ask(&request).or_else(|cut| match cut {
            // The real program takes the end of its input for a refusal.
            Cut::InputClosed => {
                Ok(json!({"response": {"behavior": "deny", "message": "nobody answers"}}))
            }
            Cut::Interrupted | Cut::Exit(_) => Err(cut),
        });
        let answer = asked?["response"].clone();
        Ok(match answer["behavior"].as_str() {
            Some("allow") if answer["updatedInput"].is_object() => {
                Ok(answer["updatedInput"].clone())
            }
            Some("allow") => Ok(input.clone()),
            _ => Err(answer["message"].as_str().unwrap_or("refused").to_owned()),
        })
    }

    fn call(&self, tool: &str, arguments: &Value, turn: &mut Turn) -> Result<(), Cut> {
        let id = format!("toolu_{}", Uuid::new_v4().simple());
        let name = format!("mcp__nexus__{tool}");
        self.assistant(&json!({"type": "tool_use", "id": id, "name": name, "input": arguments}));
        turn.note(Deed::Calls(tool.to_owned()));
        let answer = self
            .pipe
            .ask(&json!({"subtype": "mcp_message", "server_name": "nexus",
            "message": {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments}}}))?;
        let result = &answer["response"]["mcp_response"]["result"];
        let said = result["content"][0]["text"].as_str().unwrap_or_default();
        if result["content"].is_array() && result["isError"] != true {
            turn.note(Deed::Answered(tool.to_owned()));
        }
        self.tool_result(&id, result["isError"] != true, said);
        said.clone_into(&mut turn.last);
        Ok(())
    }

    fn fail(&self, status: Option<u16>, kind: &str, message: &str, turn: &mut Turn) {
        let block = json!({"type": "text", "text": message});
        self.write(
            json!({"type": "assistant", "error": kind, "api_error_status": status,
            "message": {"role": "assistant", "model": "<synthetic>", "content": [block]}}),
        );
        turn.failure = Some(Failure {
            status,
            message: message.to_owned(),
        });
    }

    fn finish(&mut self, turn: &Turn, cut: bool) {
        let cost = turn.cost.unwrap_or_default();
        self.spent += cost;
        self.past.cost += cost;
        if !cut && turn.failure.is_none() {
            let message = json!({"id": format!("msg_{}", Uuid::new_v4().simple()),
                "role": "assistant", "model": "fake",
                "content": [{"type": "text", "text": turn.text}],
                "usage": {"input_tokens": turn.input, "output_tokens": turn.output}});
            self.memory
                .append(&self.session, &mut self.past, "assistant", &message);
        }
        self.memory.keep(&self.session, &self.past);
        let mut line = self.result(turn, cost);
        line.as_object_mut()
            .into_iter()
            .for_each(|line| line.extend(self.fault(turn, cut)));
        self.pipe.write(&line);
    }

    /// The result of a turn that completes.
    fn result(&self, turn: &Turn, cost: f64) -> Value {
        let uuid = &turn.prompt;
        let basis = if turn.cost.is_some() {
            "list"
        } else {
            "unknown"
        };
        // A model that was asked nothing is not named.
        let models = match turn.input + turn.output {
            0 => json!({}),
            _ => json!({"fake": {"inputTokens": turn.input, "outputTokens": turn.output,
                "costUSD": cost, "costBasis": basis}}),
        };
        json!({
            "type": "result", "subtype": "success", "is_error": false,
            "session_id": self.session,
            "terminal_reason": "completed", "api_error_status": null, "result": turn.text,
            "user_message_uuid": uuid, "user_message_uuids": [uuid], "num_turns": 1,
            "permission_denials": turn.denials, "total_cost_usd": self.past.cost,
            "usage": {"input_tokens": turn.input, "output_tokens": turn.output},
            "model_usage_since_last_result": models,
        })
    }

    /// What is different in the result of a turn that did not complete.
    fn fault(&self, turn: &Turn, cut: bool) -> Map<String, Value> {
        let fault = if cut {
            json!({"subtype": "error_during_execution", "is_error": true, "result": null,
                "terminal_reason": "aborted_streaming", "errors": ["interrupted"]})
        } else if let Some(Failure { status, message }) = &turn.failure {
            json!({"is_error": true, "terminal_reason": "api_error",
                "api_error_status": status, "result": message})
        } else if self.budget.is_some_and(|budget| self.spent > budget) {
            json!({"subtype": "error_max_budget_usd", "is_error": true, "result": null,
                "terminal_reason": "budget_exhausted", "errors": ["Reached maximum budget"]})
        } else {
            json!({})
        };
        fault.as_object().cloned().unwrap_or_default()
    }

    fn lifecycle(&self, prompt: &Value, state: &str) {
        self.write(json!({"type": "command_lifecycle", "command_uuid": prompt, "state": state}));
    }

    fn assistant(&self, block: &Value) {
        self.write(json!({"type": "assistant", "parent_tool_use_id": null,
            "message": {"role": "assistant", "model": "fake", "content": [block]}}));
    }

    fn tool_result(&self, id: &str, ok: bool, said: &str) {
        let block = json!({"type": "tool_result", "tool_use_id": id, "content": said,
            "is_error": !ok});
        self.write(json!({"type": "user", "parent_tool_use_id": null,
            "message": {"role": "user", "content": [block]}}));
    }

    /// Writes a line that carries the session's id, as nearly all do.
    fn write(&self, mut line: Value) {
        line["session_id"] = json!(self.session);
        self.pipe.write(&line);
    }
}

impl Turn {
    /// Records what was done. A double that cannot has nothing to say for itself, and ends.
    fn note(&self, did: Deed) {
        let Some(Recorded { ledger, turn }) = &self.recorded else {
            return;
        };
        if ledger.add(turn, did).is_err() {
            process::abort();
        }
    }
}

/// A prompt as a script sees it: without the notes that its host put below it.
fn without_notes(prompt: &str) -> String {
    match prompt.rsplit_once("\n\n<system-reminder>") {
        Some((prompt, note)) if note.trim_end().ends_with("</system-reminder>") => prompt,
        Some(_) | None => prompt,
    }
    .to_owned()
}

/// Nobody writes any more: the real program finishes its turn all the same.
fn unless_interrupted(cut: Cut) -> Result<(), Cut> {
    match cut {
        Cut::InputClosed => Ok(()),
        Cut::Interrupted | Cut::Exit(_) => Err(cut),
    }
}

/// Does what the file tools do; `None` for every other tool.
fn carry_out(cwd: &Path, tool: &str, input: &Value) -> io::Result<Option<String>> {
    let text = |name: &str| input[name].as_str().unwrap_or_default();
    let path = cwd.join(text("file_path"));
    match tool {
        "Write" => {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, text("content"))?;
            Ok(Some(format!(
                "File created successfully at: {}",
                path.display()
            )))
        }
        "Edit" => {
            let before = fs::read_to_string(&path)?;
            if !before.contains(text("old_string")) {
                return Err(io::Error::other("String to replace not found in file."));
            }
            let after = before.replacen(text("old_string"), text("new_string"), 1);
            fs::write(&path, after)?;
            Ok(Some(format!(
                "The file {} has been updated.",
                path.display()
            )))
        }
        _ => Ok(None),
    }
}

/// The person's answers, for the tool that asks them; otherwise what the script says.
fn answer_of(input: &Value, output: &str) -> String {
    match input["answers"].as_object() {
        Some(answers) => {
            let answers = answers
                .iter()
                .map(|(question, answer)| format!("{question}={answer}"));
            answers.collect::<Vec<_>>().join(", ")
        }
        None => output.to_owned(),
    }
}

/// Turns into a shell script. Returns only when that fails.
#[expect(
    clippy::disallowed_methods,
    reason = "this plays a program under guard, not NEXUS"
)]
fn become_script(script: &str) -> io::Error {
    process::Command::new("/bin/sh").args(["-c", script]).exec()
}

/// Ignores SIGTERM and everything else, for ever.
fn deafen() -> ! {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let _ears = runtime.as_ref().ok().map(|runtime| {
        let _context = runtime.enter();
        signal(SignalKind::terminate())
    });
    loop {
        thread::park();
    }
}
