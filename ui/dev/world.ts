/**
 * A made-up NEXUS for development and tests: tasks in every state, and a practice run that moves
 * by itself. It speaks the same JSON as the real server. Never part of a build.
 */
import type {
  Agent,
  AgentState,
  Allowed,
  Answer,
  Approval,
  Attempt,
  Board,
  Caps,
  Change,
  Difference,
  Doctor,
  FileChange,
  Folder,
  Grant,
  Hold,
  Key,
  Kpi,
  Message,
  NewTask,
  Plan,
  PlanBody,
  PlanStep,
  Priority,
  Project,
  Role,
  SayBody,
  Seat,
  Session,
  Stage,
  Step,
  Task,
  TaskCard,
  TaskState,
  TimelineItem,
  Today,
  Trash,
} from '../src/api/types';
import { noCaps } from '../src/limits/caps.ts';
import {
  ago,
  allowed,
  card,
  crew,
  docs,
  later,
  minute,
  names,
  question,
  sample,
  sha,
  shop,
  stages,
  uuid,
} from './basics.ts';
import { Plans } from './plans.ts';
import { seatsOf } from './seats.ts';
import { teamCards, teamDetail } from './teamwork.ts';

export { card, stages };

function cards(): TaskCard[] {
  const approval = uuid();
  const open = uuid();
  return [
    ...teamCards(),
    card({
      name: 'T-18',
      title: 'Review and optimise the product search queries',
      state: 'backlog',
      created_at: ago(30),
    }),
    card({
      name: 'T-17',
      title: 'Write the onboarding page for new maintainers',
      state: 'paused',
      project_id: docs.id,
      project_name: docs.name,
      note: 'Paused by you while Code was writing',
      active_role: 'code',
      stages: stages(1, 'parked'),
      tokens: 21_400,
      cost_usd: 0.34,
      started_at: ago(190),
      created_at: ago(200),
    }),
    card({
      name: 'T-16',
      title: 'Create a REST endpoint for saved addresses',
      state: 'working',
      note: 'Edit src/addresses/routes.rs',
      active_role: 'code',
      stages: stages(1),
      tokens: 118_200,
      cost_usd: 1.92,
      at_least: true,
      budget_usd: 5,
      started_at: ago(14),
      created_at: ago(16),
    }),
    card({
      name: 'T-15',
      title: 'Explain the event bus in the handbook',
      state: 'planning',
      project_id: docs.id,
      project_name: docs.name,
      note: 'Read docs/events.md',
      active_role: 'aria',
      stages: stages(0),
      tokens: 9_100,
      cost_usd: 0.11,
      started_at: ago(1),
      created_at: ago(2),
    }),
    card({
      id: approval,
      name: 'T-14',
      title: 'Fix the login redirect and add tests',
      state: 'needs_you',
      note: 'Waits for your answer',
      active_role: 'beta',
      stages: stages(3, 'needs_you'),
      question: question(approval, {}),
      tokens: 42_000,
      cost_usd: 0.61,
      started_at: ago(26),
      created_at: ago(28),
      lines_added: 84,
      lines_removed: 12,
      files_changed: 4,
    }),
    card({
      id: open,
      name: 'T-13',
      title: 'Move session storage to Redis',
      state: 'needs_you',
      note: 'Waits for your answer',
      active_role: 'aria',
      stages: stages(0, 'needs_you'),
      question: question(open, {
        role: 'aria',
        kind: 'open',
        asked_at: ago(9),
        text: 'Aria asks: Two session formats are in use. Should old sessions keep working after the move?',
        detail: 'Two session formats are in use. Should old sessions keep working after the move?',
        why: 'The answer decides whether a migration is part of this task.',
        digest: sha('5e0'),
        waiting: false,
        options: ['Keep them working for 30 days', 'Sign everyone out once'],
      }),
      tokens: 17_800,
      cost_usd: 0.22,
      started_at: ago(12),
      created_at: ago(13),
    }),
    card({
      name: 'T-20',
      title: 'Publish the changelog of the last release',
      state: 'paused',
      paused: 'unsure',
      project_id: docs.id,
      project_name: docs.name,
      note: 'interrupted while `git push origin release-notes` may have run: look at what it did, then resume to take the step again, or cancel',
      stages: stages(1, 'waiting'),
      tokens: 12_700,
      cost_usd: 0.19,
      at_least: true,
      started_at: ago(52),
      created_at: ago(55),
    }),
    card({
      name: 'T-19',
      title: 'Replace the mail templates',
      state: 'paused',
      paused: 'tokens',
      note: 'cap of 200000 tokens reached: raise it and resume',
      stages: stages(1, 'waiting'),
      tokens: 200_400,
      cost_usd: 2.71,
      started_at: ago(80),
      created_at: ago(85),
    }),
    card({
      name: 'T-12',
      title: 'Upgrade the image resizer',
      state: 'failed',
      note: 'The usage limit was reached three times',
      stages: stages(1, 'failed'),
      tokens: 30_100,
      cost_usd: 0.44,
      started_at: ago(130),
      created_at: ago(140),
    }),
    card({
      name: 'T-11',
      title: 'Rotate signing keys for access tokens',
      state: 'review',
      note: 'All checks pass',
      stages: stages(4),
      tokens: 96_300,
      cost_usd: 1.41,
      standing: 'green',
      files_changed: 9,
      lines_added: 312,
      lines_removed: 84,
      started_at: ago(95),
      created_at: ago(100),
    }),
    card({
      name: 'T-10',
      title: 'Speed up the nightly report',
      state: 'review',
      note: 'A check that passed before fails now',
      stages: stages(4),
      tokens: 51_000,
      cost_usd: 0.73,
      standing: 'broken_by_us',
      files_changed: 3,
      lines_added: 41,
      lines_removed: 29,
      started_at: ago(170),
      created_at: ago(175),
    }),
    card({
      name: 'T-9',
      title: 'Set up continuous integration',
      state: 'done',
      note: 'Accepted',
      stages: stages(4),
      tokens: 61_000,
      cost_usd: 0.88,
      standing: 'green',
      files_changed: 2,
      lines_added: 64,
      lines_removed: 0,
      started_at: ago(400),
      created_at: ago(410),
      ended_at: ago(360),
    }),
    card({
      name: 'T-8',
      title: 'Fix the rounding of discounts',
      state: 'done',
      team: 'practice',
      project_id: sample.id,
      project_name: sample.name,
      note: 'Accepted',
      stages: stages(4),
      tokens: 0,
      cost_usd: null,
      standing: 'green',
      files_changed: 2,
      lines_added: 18,
      lines_removed: 3,
      started_at: ago(500),
      created_at: ago(500),
      ended_at: ago(498),
    }),
    card({
      name: 'T-7',
      title: 'Try a different template engine',
      state: 'cancelled',
      note: 'Cancelled by you',
      stages: stages(1, 'cancelled'),
      started_at: ago(600),
      created_at: ago(600),
      ended_at: ago(580),
    }),
  ];
}

const patch = `diff --git a/src/tokens/rotate.rs b/src/tokens/rotate.rs
new file mode 100644
index 0000000..3f1c9aa
--- /dev/null
+++ b/src/tokens/rotate.rs
@@ -0,0 +1,14 @@
+//! Rotates the keys that sign access tokens.
+
+use crate::clock::Clock;
+use std::time::Duration;
+
+/// How long a retired key still verifies.
+pub const OVERLAP: Duration = Duration::from_secs(15 * 60);
+
+pub fn rotate(ring: &mut KeyRing, clock: &impl Clock) {
+    let now = clock.now();
+    ring.retire(now + OVERLAP);
+    ring.push(SigningKey::fresh(now));
+    ring.keys.retain(|key| key.until.is_none_or(|until| until > now));
+}
diff --git a/src/tokens/verify.rs b/src/tokens/verify.rs
index 81bd1d4..bb90f4c 100644
--- a/src/tokens/verify.rs
+++ b/src/tokens/verify.rs
@@ -18,11 +18,13 @@ impl Verifier {
     /// The claims of a token, if one of the current keys signed it.
     pub fn claims(&self, token: &str) -> Result<Claims, Refusal> {
         let header = Header::read(token)?;
-        let key = self.key.clone();
-        if header.key_id != key.id {
-            return Err(Refusal::UnknownKey);
-        }
+        let key = self
+            .ring
+            .find(&header.key_id)
+            .ok_or(Refusal::UnknownKey)?;
+        if key.expired(self.clock.now()) {
+            return Err(Refusal::ExpiredKey);
+        }
         let claims = key.verify(token)?;
-        Ok(claims)
+        claims.check_audience(&self.audience)
     }
 }
diff --git a/tests/rotation.rs b/tests/rotation.rs
index 5ad28f3..b84c1aa 100644
--- a/tests/rotation.rs
+++ b/tests/rotation.rs
@@ -4,3 +4,12 @@ fn signs_with_the_newest_key() {
     let ring = ring_of(3);
     assert_eq!(ring.newest().id, "k3");
 }
+
+#[test]
+fn a_retired_key_verifies_until_the_overlap_ends() {
+    let clock = TestClock::at("2026-01-01T00:00:00Z");
+    let token = sign(&clock);
+    clock.advance(OVERLAP);
+    // A line that is much longer than the pane is wide, so that one can see what happens to it: it is scrolled, never cut.
+    assert_eq!(verify(&token, &clock), Err(Refusal::ExpiredKey));
+}
diff --git a/assets/lock.png b/assets/lock.png
index 1111111..2222222 100644
Binary files a/assets/lock.png and b/assets/lock.png differ
`;

const files: FileChange[] = [
  { path: 'src/tokens/rotate.rs', change: 'added', added: 14, removed: 0 },
  { path: 'src/tokens/verify.rs', change: 'modified', added: 8, removed: 5 },
  { path: 'tests/rotation.rs', change: 'modified', added: 9, removed: 0 },
  { path: 'assets/lock.png', change: 'modified', added: null, removed: null },
];

const summaries: Record<string, string> = {
  analysis:
    'Access tokens are signed with one fixed key (`src/tokens/verify.rs:20`). Rotation needs a key ring, a retirement time and a lookup by key id.\n\n**Risks**\n\n- Tokens signed just before a rotation must stay valid for the overlap.\n- The audience is not checked today.',
  implementation:
    'Added `KeyRing` and `rotate`, and made the verifier look keys up by id. Retired keys verify for 15 minutes.',
  tests:
    'Three cases: newest key signs, retired key verifies, retired key is refused after the overlap.',
  validation:
    'Ran the checks in a clean copy: 31 tests pass. The overlap is tested at its edge. No test was weakened.',
};

const kinds = ['analysis', 'implementation', 'tests', 'validation'];

/** What the attempts at a step could look like: one that was cut off, one that ended. */
function attempts(of: TaskCard, stage: Stage, at: number): Attempt[] {
  if (!of.started_at || stage.state === 'waiting') return [];
  const begun = Date.parse(of.started_at) + at * 3 * minute;
  const attempt = (number: number, facts: Partial<Attempt>): Attempt => ({
    turn_number: at * 2 + number,
    attempt: number,
    round: 1,
    session: `10000000-0000-4000-8000-00000000000${at}`,
    started_at: new Date(begun + number * 40_000).toISOString(),
    process: 'closed',
    turn: 'completed',
    claim: 'done',
    verified: 'not_applicable',
    ...facts,
  });
  const cutOff = attempt(1, {
    process: 'swept',
    turn: 'output_lost',
    claim: 'none',
    verified: 'not_reached',
  });
  const checked = of.standing ?? 'pending';
  const last = {
    aria: attempt(1, {}),
    code: attempt(2, { verified: checked }),
    alpha: attempt(1, { claim: 'text', verified: checked }),
    beta: attempt(1, { claim: of.standing === 'broken_by_us' ? 'fail' : 'pass' }),
    prime: attempt(1, {}),
  }[stage.role];
  const now =
    stage.state === 'running' || stage.state === 'needs_you'
      ? { process: 'running', turn: 'streaming', claim: 'none', verified: 'pending' }
      : stage.state === 'failed'
        ? { process: 'killed', turn: 'rate_limited', claim: 'none', verified: 'not_reached' }
        : {};
  return [...(stage.role === 'code' ? [cutOff] : []), { ...last, ...now }];
}

function sessions(of: TaskCard): Session[] {
  return of.stages.flatMap((stage, at): Session[] => {
    if (!of.started_at || stage.state === 'waiting') return [];
    const live = stage.state === 'running' || stage.state === 'needs_you';
    return [
      {
        id: `10000000-0000-4000-8000-00000000000${at}`,
        task_id: of.id,
        task_name: of.name,
        role: stage.role,
        seat: stage.role,
        state: live ? 'live' : 'parked',
        generation: stage.role === 'code' ? 1 : 0,
        turns: stage.role === 'code' ? 3 : 1,
        tokens: Math.round(of.tokens / 4),
        cost_usd: of.cost_usd == null ? null : of.cost_usd / 4,
        used_at: of.updated_at,
        idle_timeout_seconds: { prime: 0, aria: 1800, code: 3600, alpha: 2400, beta: 2700 }[
          stage.role
        ],
        pid: live ? 48_211 + at : null,
      },
    ];
  });
}

function steps(of: TaskCard): Step[] {
  return of.stages.map((stage, at) => {
    const kind = kinds[at] ?? 'work';
    const reached = stage.state === 'done';
    const broke = of.standing === 'broken_by_us' && stage.role === 'beta';
    return {
      id: at + 1,
      role: stage.role,
      kind,
      title: kind[0]?.toUpperCase() + kind.slice(1),
      description: '',
      after: at > 0 ? [at] : [],
      seat: stage.state === 'waiting' ? null : names[stage.role],
      lane: false,
      merge: null,
      mends: null,
      written: [],
      state: stage.state,
      attempts: stage.state === 'waiting' ? 0 : stage.role === 'code' && broke ? 2 : 1,
      tokens: reached ? Math.round(of.tokens / 4) : 0,
      cost_usd: reached && of.cost_usd != null ? of.cost_usd / 4 : null,
      duration_ms: reached ? 95_000 + at * 40_000 : 0,
      summary: reached ? (summaries[kind] ?? null) : null,
      structured: stage.role !== 'alpha',
      verdict: reached && stage.role === 'beta' ? (broke ? 'fail' : 'pass') : null,
      findings: broke
        ? [
            {
              problem: 'The weekly totals are rounded before they are added.',
              location: 'src/report/weekly.rs:71',
              severity: 'high',
              suggestion: 'Add the exact amounts and round once at the end.',
            },
          ]
        : [],
      progress:
        stage.state === 'running' ? 'Routes compile, validation of the postcode is next' : null,
      trouble: stage.state === 'failed' ? 'The account’s usage limit was reached' : null,
      history: attempts(of, stage, at),
    };
  });
}

function detail(
  of: TaskCard,
  plans: Plans,
  more: { caps: Caps; grants: Grant[]; renewed: Set<string> },
): Task {
  const usual = steps(of);
  const reviewed = of.standing != null;
  const broke = of.standing === 'broken_by_us';
  const check = (command: string, ok: boolean, tail: string) => ({
    command,
    ok,
    exit_code: ok ? 0 : 101,
    output_sha256: sha('4f9c2e'),
    output_tail: tail,
    tree: sha(ok ? 'a1' : 'b2').slice(0, 40),
    started_at: ago(3),
    duration_ms: 12_400,
  });
  const passes =
    'running 31 tests\n...............................\ntest result: ok. 31 passed; 0 failed; 0 ignored';
  const fails =
    'running 31 tests\n\nfailures:\n\n---- weekly_totals_are_exact stdout ----\nassertion failed: `(left == right)`\n  left: `1024.98`,\n right: `1024.99`\n\ntest result: FAILED. 30 passed; 1 failed; 0 ignored';
  return {
    card: of,
    text: `${of.title}.\n\nKeep the public interface as it is. The change is done when the checks pass and a test shows the new behaviour.`,
    folder: of.project_name === sample.name ? sample.path : shop.path,
    workspace: of.state === 'backlog' ? null : `/home/me/.local/share/nexus/workspaces/${of.name}`,
    scratchpads: `/home/me/.local/share/nexus/scratchpads/${of.name}`,
    permissions: 'workspace',
    not_contained: of.name === 'T-16',
    plan: plans.of(of, usual),
    ...teamDetail(of, usual),
    sessions: sessions(of).map((session) =>
      more.renewed.has(`${of.id}/${session.role}`)
        ? { ...session, state: 'fresh', generation: session.generation + 1, turns: 0, pid: null }
        : session,
    ),
    spent: {
      cost_usd: of.cost_usd ?? 0,
      at_least: of.at_least,
      tokens: of.tokens,
      seconds: of.started_at ? 740 : 0,
      turns: of.started_at ? 5 : 0,
    },
    caps: more.caps,
    grants: more.grants,
    baseline: reviewed
      ? {
          tree: sha('c3').slice(0, 40),
          checks: [
            check('cargo check --workspace', true, 'Finished `dev` profile in 4.1s'),
            check('cargo test --workspace', true, passes),
          ],
        }
      : null,
    evidence: reviewed
      ? {
          tree: sha('a1').slice(0, 40),
          checks: [
            check('cargo check --workspace', true, 'Finished `dev` profile in 3.8s'),
            check('cargo test --workspace', !broke, broke ? fails : passes),
          ],
        }
      : null,
    standing_text: broke
      ? 'One check that passed before this change fails now.'
      : reviewed
        ? 'All checks pass on exactly this content. They passed before it too.'
        : 'The checks have not run on this change yet.',
    files: reviewed || of.state === 'needs_you' ? files : [],
    questions: of.question ? [of.question] : [],
    conflicts: of.name === 'T-10' ? ['src/report/weekly.rs'] : [],
    failure_kind: of.state === 'failed' ? 'provider' : null,
    verdict_failed: false,
    stuck_unasked: false,
    failure:
      of.state === 'failed'
        ? 'The usage limit of the account was reached three times. It lifts at 18:00; press Resume then.'
        : of.state === 'paused'
          ? of.note
          : null,
    summary: reviewed ? (summaries.validation ?? null) : null,
    round: broke ? 2 : 1,
    max_rounds: 3,
  };
}

function messages(of: TaskCard): Message[] {
  if (of.state === 'backlog') return [];
  const message = (at: number, from: string, to: string, kind: string, text: string): Message => ({
    id: `${of.name}-m${at}`,
    at: ago(20 - at * 4),
    from,
    to,
    kind,
    text,
    delivery: at === 3 ? 'waiting' : 'read',
    read_by: at === 1 ? ['aria'] : at === 2 ? ['code'] : [],
    structured: kind !== 'note',
    json: {
      from,
      to,
      kind,
      content: { text },
      response_expected: kind === 'assignment',
    } as unknown as Message['json'],
  });
  return [
    message(
      1,
      'nexus_prime',
      'aria_coordinator',
      'assignment',
      'Analyse the request and the project. Name files and lines.',
    ),
    message(
      2,
      'aria_coordinator',
      'code_developer',
      'response',
      `## Analysis\n\n${summaries.analysis}\n\n| File | Change |\n|---|---|\n| \`src/tokens/verify.rs\` | look the key up by id |\n| \`src/tokens/rotate.rs\` | new |\n\n1. Add the ring\n2. Look keys up by id\n3. Check the audience\n\n[The standard](https://www.rfc-editor.org/rfc/rfc7519) and a bad link: [click](javascript:alert(1)) <img src=x onerror=alert(1)>`,
    ),
    message(
      3,
      'code_developer',
      'alpha_test_creator',
      'note',
      'The overlap is a constant so that a test can reach its edge:\n\n```rust\npub const OVERLAP: Duration = Duration::from_secs(15 * 60);\n```',
    ),
  ];
}

function timeline(of: TaskCard): TimelineItem[] {
  if (of.state === 'backlog') return [];
  const items: TimelineItem[] = [];
  let n = 0;
  const begin = Date.parse(of.started_at ?? of.created_at);
  const add = (part: Partial<TimelineItem> & { kind: TimelineItem['kind']; text: string }) => {
    n += 1;
    items.push({
      id: part.turn ? `t${part.turn}.${n}` : `e${n}`,
      at: new Date(begin + n * 4_000).toISOString(),
      role: null,
      step: null,
      turn: null,
      detail: null,
      ok: null,
      call: null,
      ...part,
    });
  };
  const tool = (
    role: Role,
    turn: number,
    text: string,
    input: string,
    output: string,
    ok = true,
  ) => {
    const call = `c${n}`;
    add({ kind: 'tool_started', role, turn, step: turn, text, detail: input, call });
    add({ kind: 'tool_ended', role, turn, step: turn, text, detail: output, ok, call });
  };
  add({ kind: 'fact', text: 'Task submitted' });
  add({ kind: 'fact', text: 'Copy of the folder made: 214 files, 3.1 MB' });
  add({
    kind: 'check',
    text: 'cargo test --workspace passed before the work, 12.4 s',
    ok: true,
    detail: 'test result: ok. 28 passed; 0 failed',
  });
  add({ kind: 'fact', role: 'aria', step: 1, text: 'Aria started the analysis' });
  add({
    kind: 'thinking',
    role: 'aria',
    turn: 1,
    step: 1,
    text: 'Thinking',
    detail: 'The verifier keeps one key. I should see who else reads it before I suggest a ring.',
  });
  tool(
    'aria',
    1,
    'Read src/tokens/verify.rs',
    '{"file_path":"src/tokens/verify.rs"}',
    '1  //! Verifies access tokens.\n2  use crate::keys::SigningKey;',
  );
  tool(
    'aria',
    1,
    'Grep key_id',
    '{"pattern":"key_id"}',
    'src/tokens/verify.rs:22\nsrc/tokens/header.rs:9',
  );
  add({
    kind: 'text',
    role: 'aria',
    turn: 1,
    step: 1,
    text: 'Rotation needs a key ring, a retirement time and a lookup by key id.',
    detail: summaries.analysis ?? null,
  });
  add({
    kind: 'message',
    role: 'aria',
    step: 1,
    text: 'Aria handed over to Code',
    detail: summaries.analysis ?? null,
  });
  if (of.stages[1]?.state !== 'waiting') {
    add({ kind: 'fact', role: 'code', step: 2, text: 'Code started the implementation' });
    tool('code', 2, 'Read docs/auth.md', '{"file_path":"docs/auth.md"}', '# Authentication');
    tool(
      'code',
      2,
      'Edit src/addresses/routes.rs',
      '{"file_path":"src/addresses/routes.rs","old_string":"…","new_string":"…"}',
      'The file was updated.',
    );
    tool(
      'code',
      2,
      'Run cargo check',
      '{"command":"cargo check"}',
      'error[E0433]: failed to resolve: use of undeclared type `Postcode`\n  --> src/addresses/routes.rs:31:18',
      false,
    );
    add({
      kind: 'retry',
      role: 'code',
      turn: 2,
      step: 2,
      text: 'The model was overloaded; trying again in 4 s (1 of 10)',
    });
    tool(
      'code',
      2,
      'Edit src/addresses/model.rs',
      '{"file_path":"src/addresses/model.rs"}',
      'The file was updated.',
    );
    tool(
      'code',
      2,
      'Run cargo check',
      '{"command":"cargo check"}',
      'Finished `dev` profile in 3.4s',
    );
  }
  if (of.state === 'working') {
    add({
      kind: 'tool_started',
      role: 'code',
      turn: 2,
      step: 2,
      text: 'Edit src/addresses/routes.rs',
      detail: '{"file_path":"src/addresses/routes.rs"}',
      call: 'open',
    });
  }
  if (of.question)
    add({
      kind: 'question',
      role: of.question.role,
      text: of.question.text,
      detail: of.question.detail,
    });
  if (of.standing) {
    add({
      kind: 'text',
      role: 'beta',
      turn: 4,
      step: 4,
      text: 'All 31 tests pass.',
      detail: summaries.validation ?? null,
    });
    add({
      kind: 'check',
      text: 'cargo test --workspace',
      ok: of.standing === 'green',
      detail: 'test result: ok. 31 passed; 0 failed',
    });
    add({ kind: 'fact', text: 'Ready for your review' });
  }
  return items;
}

/** The moves of a practice run, one every beat. */
const script: [number, TaskState, string, string][] = [
  [0, 'planning', 'Read README.md', 'tool'],
  [0, 'working', 'Read src/discount.py', 'tool'],
  [0, 'working', 'Aria handed over to Code', 'message'],
  [1, 'working', 'Edit src/discount.py', 'tool'],
  [1, 'working', 'Run python -m unittest', 'tool'],
  [2, 'working', 'Write tests/test_edges.py', 'tool'],
  [2, 'working', 'Run python -m unittest', 'tool'],
  [3, 'working', 'Run python -m unittest', 'tool'],
  [4, 'review', 'All checks pass', 'fact'],
];

export class World {
  seq = 100;
  projects: Project[] = [shop, docs, sample];
  tasks: TaskCard[] = cards();
  keyring: Key[] = [];
  holds: Hold[] = [
    {
      why: 'limit',
      until: later(72),
      text: 'usage limit reached: the five-hour limit of the account is used up',
    },
  ];
  today: Today = {
    spent: { cost_usd: 3.52, at_least: true, tokens: 412_000, seconds: 5_040, turns: 31 },
    caps: { cost_usd: 10, tokens: null, seconds: null, turns: null },
  };
  allowed: Allowed = { rules: [], grants: [] };
  differences: Difference[] = [
    {
      code: 'workspace_orphan',
      severity: 'warning',
      what: '/home/me/.local/share/nexus/workspaces/T-3',
      found: 'a folder that no task names; 214 files, nothing in it was changed',
      explanation: 'It was left by a task that ended while NEXUS was being killed.',
      fix: 'move it to the trash, from where it can be brought back',
      fixed: false,
    },
    {
      code: 'process_left',
      severity: 'warning',
      what: '48102',
      found: 'a process tagged as ours, started by an earlier NEXUS, is still alive',
      explanation: 'It may still write into the copy of T-16.',
      fix: 'end it with everything it started',
      fixed: false,
    },
    {
      code: 'session_file_missing',
      severity: 'note',
      what: '10000000-0000-4000-8000-000000000001',
      found: 'the program keeps no file for this session',
      explanation:
        'The next turn of Code in T-17 begins a new session, told from the journal. Nothing has to be done.',
      fix: null,
      fixed: false,
    },
  ];
  trash: Trash[] = [
    {
      id: '20260101T100000-workspace',
      at: ago(2 * 24 * 60),
      code: 'workspace_orphan',
      from: '/home/me/.local/share/nexus/workspaces/T-2',
      path: '/home/me/.local/share/nexus/trash/20260101T100000-workspace',
      why: 'a folder that no task names',
    },
  ];
  private caps = new Map<string, Caps>();
  private renewed = new Set<string>();
  private plans = new Plans();
  private said = new Map<string, Message[]>();
  beat = 1200;
  private added = new Map<string, TimelineItem[]>();
  private listeners = new Set<(change: Change) => void>();
  private history: Change[] = [];

  constructor() {
    const held = this.find('T-15');
    if (held) {
      Object.assign(held, { hold: this.holds[0], note: this.holds[0]?.text, active_role: null });
      held.stages = stages(0, 'parked');
    }
    const asks = this.find('T-14');
    this.allowed = {
      rules: [
        {
          id: 1,
          scope: 'project',
          project_name: shop.name,
          digest: sha('a07'),
          tool: 'Bash',
          object: 'npm run lint -- --fix',
          made_at: ago(3 * 24 * 60),
        },
        {
          id: 2,
          scope: 'always',
          project_name: null,
          digest: sha('b18'),
          tool: 'WebFetch',
          object: 'https://doc.rust-lang.org/std/time/index.html',
          made_at: ago(26 * 60),
        },
      ],
      grants: asks
        ? [
            {
              task_id: asks.id,
              task_name: asks.name,
              digest: sha('c29'),
              tool: 'Bash',
              object: 'cargo test --workspace -- --ignored',
              made_at: ago(12),
            },
          ]
        : [],
    };
  }

  static empty(): World {
    const world = new World();
    world.tasks = [];
    world.projects = [];
    world.holds = [];
    world.allowed = { rules: [], grants: [] };
    world.today = {
      spent: { cost_usd: 0, at_least: false, tokens: 0, seconds: 0, turns: 0 },
      caps: noCaps,
    };
    return world;
  }

  listen(since: number, onChange: (change: Change) => void): () => void {
    for (const change of this.history) if (change.seq > since) onChange(change);
    this.listeners.add(onChange);
    return () => this.listeners.delete(onChange);
  }

  private publish(change: Change) {
    if (change.type !== 'thinking') this.history.push(change);
    for (const listener of this.listeners) listener(change);
  }

  private agents(): Agent[] {
    return (['prime', ...crew] as Role[]).map((role) => {
      const at = this.tasks.find(
        (task) =>
          task.active_role === role && ['planning', 'working', 'needs_you'].includes(task.state),
      );
      const state: AgentState = !at ? 'idle' : at.state === 'needs_you' ? 'needs_you' : 'working';
      return {
        role,
        name: names[role],
        state,
        note: at
          ? (at.question?.text ?? at.note)
          : role === 'prime'
            ? 'Standard pipeline, no model'
            : 'Nothing to do',
        task_id: at?.id ?? null,
        task_name: at?.name ?? null,
        cost_usd: role === 'prime' ? null : 0.9,
        tokens: role === 'prime' ? 0 : 41_000,
        queued: role === 'aria' ? 1 : 0,
      };
    });
  }

  board(): Board {
    return {
      seq: this.seq,
      version: '0.1.0',
      data_dir: '/home/me/.local/share/nexus',
      projects: this.projects,
      tasks: this.tasks,
      agents: this.agents(),
      holds: this.holds,
      today: this.today,
    };
  }

  /** Tells what stands above the tasks. */
  floor() {
    const { projects, holds, today } = this;
    this.publish({ type: 'projects', seq: ++this.seq, projects, holds, today });
  }

  questions(): Approval[] {
    return this.tasks
      .flatMap((task) => (task.question ? [task.question] : []))
      .sort((a, b) => a.asked_at.localeCompare(b.asked_at));
  }

  capDay(caps: Caps): Today {
    this.today = { ...this.today, caps };
    this.floor();
    return this.today;
  }

  retry() {
    this.holds = [];
    this.floor();
    for (const task of this.tasks.filter((each) => each.hold)) {
      this.change(task.id, { hold: null, note: 'Goes on' }, 'Goes on: you wanted it tried again');
    }
  }

  /** Stops everything; each task says "stopping" until `stopped` is called for it. */
  stop() {
    for (const task of this.tasks) {
      if (!task.queued && !['planning', 'working', 'needs_you'].includes(task.state)) continue;
      this.change(task.id, { stopping: true, note: 'stopping…' }, 'You stopped everything');
      if (this.beat > 0) setTimeout(() => this.stopped(task.id), this.beat * 2);
    }
  }

  stopped(id: string) {
    const still = { stopping: false, question: null, queued: false, queue_place: null, at_work: 0 };
    const part = { state: 'paused', paused: 'person', ...still } as const;
    this.change(id, { ...part, note: 'paused by you' }, 'Paused');
  }

  revokeRule(id: number) {
    this.allowed = {
      ...this.allowed,
      rules: this.allowed.rules.filter((rule) => rule.id !== id),
    };
  }

  revokeGrant(task: TaskCard, digest: string): TaskCard {
    this.allowed = {
      ...this.allowed,
      grants: this.allowed.grants.filter((each) => each.digest !== digest),
    };
    return this.change(task.id, {}, 'What you allowed is asked for again');
  }

  replaceSession(task: TaskCard, role: string): TaskCard {
    this.renewed.add(`${task.id}/${role}`);
    return this.change(task.id, {}, `${role} begins a new conversation`);
  }

  find(id: string): TaskCard | undefined {
    return this.tasks.find((task) => task.id === id || task.name === id);
  }

  change(
    id: string,
    part: Partial<TaskCard>,
    text: string,
    kind: TimelineItem['kind'] = 'fact',
  ): TaskCard {
    const before = this.find(id);
    if (!before) throw new Error(`there is no task ${id}`);
    const state = part.state ?? before.state;
    const after: TaskCard = {
      ...before,
      actions: allowed[state],
      updated_at: new Date().toISOString(),
      ...part,
    };
    this.tasks = this.tasks.map((task) => (task.id === id ? after : task));
    const item = this.line(after, kind, text);
    this.publish({ type: 'event', seq: ++this.seq, task_id: id, item, card: after });
    return after;
  }

  private line(of: TaskCard, kind: TimelineItem['kind'], text: string): TimelineItem {
    const item: TimelineItem = {
      id: `e${this.seq + 1000}`,
      at: new Date().toISOString(),
      role: of.active_role ?? null,
      step: null,
      turn: null,
      kind,
      text,
      detail: null,
      ok: null,
      call: null,
    };
    this.added.set(of.id, [...(this.added.get(of.id) ?? []), item]);
    return item;
  }

  live(id: string, items: TimelineItem[]) {
    this.publish({ type: 'live', seq: ++this.seq, task_id: id, items });
  }

  task(id: string): Task | undefined {
    const found = this.find(id);
    return (
      found &&
      detail(found, this.plans, {
        caps: this.capsOf(found),
        grants: this.allowed.grants.filter((grant) => grant.task_id === found.id),
        renewed: this.renewed,
      })
    );
  }
  capsOf(task: TaskCard): Caps {
    const usual = {
      tokens: task.paused === 'tokens' ? 200_000 : null,
      seconds: 7_200,
      turns: null,
    };
    return this.caps.get(task.id) ?? { cost_usd: task.budget_usd ?? null, ...usual };
  }
  timeline(id: string): TimelineItem[] {
    const found = this.find(id);
    return found ? [...timeline(found), ...(this.added.get(found.id) ?? [])] : [];
  }
  messages(id: string): Message[] {
    const found = this.find(id);
    return found ? [...messages(found), ...(this.said.get(found.id) ?? [])] : [];
  }
  team(): Seat[] {
    return seatsOf(this.tasks);
  }
  plan(task: TaskCard): Plan {
    return this.plans.of(task, steps(task));
  }
  /** The person edits the plan; a question about it is asked anew. */
  setPlan(task: TaskCard, body: PlanBody): Plan {
    this.plans.set(task, this.plan(task), body);
    return this.plan(this.planChanged(task, 'You changed the plan'));
  }
  /** Prime changes it, while the person may be editing. */
  replan(task: TaskCard, steps: PlanStep[]) {
    this.plans.change(task, this.plan(task), steps);
    this.planChanged(task, 'Prime changed the plan');
  }
  private planChanged(task: TaskCard, words: string): TaskCard {
    const { version } = this.plan(task);
    const asked = task.question?.kind === 'plan' ? task.question : null;
    return this.change(
      task.id,
      asked ? { question: { ...asked, digest: sha(`a4${version}`) } } : {},
      words,
    );
  }
  /** A piece of what Prime says while it plans or judges. */
  think(id: string, text: string) {
    this.publish({ type: 'thinking', seq: this.seq, task_id: id, text });
  }
  say(task: TaskCard, body: SayBody): TaskCard {
    const over = ['done', 'cancelled'].includes(task.state);
    const said: Message = {
      id: uuid(),
      at: new Date().toISOString(),
      from: 'person',
      to: body.to,
      kind: 'note',
      text: [body.text, ...(body.files ?? []).map((file) => `\n\nWith it: ${file}`)].join(''),
      delivery: over ? 'nobody' : body.to === 'prime' ? 'shown' : 'waiting',
      read_by: [],
      structured: true,
      json: { ...body } as unknown as Message['json'],
    };
    this.said.set(task.id, [...(this.said.get(task.id) ?? []), said]);
    return this.change(task.id, {}, `You wrote to ${body.to}`, 'message');
  }
  setPriority(task: TaskCard, priority: Priority): TaskCard {
    return this.change(task.id, { priority }, `Priority is ${priority} now`);
  }
  unchain(task: TaskCard): TaskCard {
    return this.change(task.id, { waits_for: [] }, 'It waits for no other task any more');
  }
  diff(path?: string) {
    const parts = patch.split(/^(?=diff --git )/m);
    return {
      patch: path ? parts.filter((part) => part.includes(` b/${path}\n`)).join('') : patch,
      truncated: false,
    };
  }

  inspect(path: string): Folder {
    const name = path.split('/').filter(Boolean).at(-1) ?? path;
    return {
      path,
      name,
      git: true,
      trusted: this.projects.some((project) => project.path === path && project.trusted),
      checks: ['npm run check', 'npm test'],
      checks_from: 'detected',
      setup: 'npm ci',
      allowed_commands: ['npm run lint'],
      copied: ['node_modules', '.env'],
      instructions: ['CLAUDE.md'],
      warnings: ['.env is copied along: it may hold secrets that the agents can read.'],
    };
  }

  trust(path: string): Project {
    const known = this.projects.find((project) => project.path === path);
    if (known) return known;
    const project: Project = {
      id: uuid(),
      name: path.split('/').filter(Boolean).at(-1) ?? path,
      path,
      trusted: true,
      practice: false,
    };
    this.projects = [...this.projects, project];
    this.floor();
    return project;
  }

  create(body: NewTask): TaskCard {
    const project = this.projects.find((each) => each.path === body.folder);
    const number = Math.max(0, ...this.tasks.map((task) => Number(task.name.slice(2)))) + 1;
    const made = card({
      name: `T-${number}`,
      title: body.title || (body.text.split('\n')[0] ?? '').slice(0, 80),
      state: 'backlog',
      team: body.team,
      budget_usd: body.budget_usd ?? null,
      cost_usd: body.team === 'practice' ? null : 0,
      priority: body.priority ?? 'normal',
      waits_for: (body.terms?.after ?? []).flatMap((name) => {
        const other = this.find(name);
        return other ? [{ id: other.id, name: other.name, state: other.state }] : [];
      }),
      created_at: new Date().toISOString(),
      ...(project ? { project_id: project.id, project_name: project.name } : {}),
    });
    this.tasks = [made, ...this.tasks];
    this.publish({
      type: 'event',
      seq: ++this.seq,
      task_id: made.id,
      item: this.line(made, 'fact', 'Task submitted'),
      card: made,
    });
    return body.start ? this.start(made.id) : made;
  }

  practice(): TaskCard {
    if (!this.projects.includes(sample)) {
      this.projects = [...this.projects, sample];
      this.floor();
    }
    return this.create({
      text: 'Fix the failing discount case and add tests for its edges',
      folder: sample.path,
      team: 'practice',
      planner: 'standard',
      permissions: 'workspace',
      start: true,
    });
  }

  start(id: string): TaskCard {
    const started = this.change(
      id,
      {
        state: 'planning',
        active_role: 'aria',
        stages: stages(0),
        started_at: new Date().toISOString(),
        paused: null,
        note: 'Getting ready',
      },
      'Started',
    );
    this.play(id, 0);
    return started;
  }

  private play(id: string, at: number) {
    const move = script[at];
    if (!move || this.beat === 0) return;
    setTimeout(() => {
      const now = this.find(id);
      if (!now || (now.state !== 'planning' && now.state !== 'working')) return;
      const [stage, state, text, kind] = move;
      const role = crew[stage] ?? null;
      if (kind === 'tool') {
        this.live(id, [
          {
            id: `t${stage + 1}.${at}a`,
            at: new Date().toISOString(),
            role,
            step: stage + 1,
            turn: stage + 1,
            kind: 'tool_started',
            text,
            detail: null,
            ok: null,
            call: `p${at}`,
          },
        ]);
      }
      this.change(
        id,
        {
          state,
          active_role: role,
          stages: stages(stage),
          note: text,
          ...(state === 'review'
            ? { standing: 'green' as const, files_changed: 2, lines_added: 18, lines_removed: 3 }
            : {}),
        },
        text,
        kind === 'message' ? 'message' : 'fact',
      );
      this.play(id, at + 1);
    }, this.beat);
  }

  command(id: string, action: string, body: Record<string, unknown>): TaskCard {
    switch (action) {
      case 'start':
      case 'resume':
        return this.start(id);
      case 'pause':
        return this.change(
          id,
          { state: 'paused', paused: 'person', note: 'Paused by you' },
          'Paused',
        );
      case 'cancel':
        return this.change(
          id,
          {
            state: 'cancelled',
            active_role: null,
            note: 'Cancelled by you',
            ended_at: new Date().toISOString(),
          },
          'Cancelled',
        );
      case 'discard':
        return this.change(
          id,
          {
            state: 'cancelled',
            note: 'Discarded; a snapshot is kept',
            ended_at: new Date().toISOString(),
          },
          'Discarded',
        );
      case 'restore':
        return this.change(
          id,
          { state: 'review', standing: 'green', note: 'Brought back', ended_at: null },
          'Brought back',
        );
      case 'accept':
        return this.change(
          id,
          { state: 'done', note: 'Accepted', ended_at: new Date().toISOString() },
          'Accepted and applied to the folder',
        );
      case 'request-changes':
        return this.change(
          id,
          {
            state: 'working',
            active_role: 'code',
            stages: stages(1),
            standing: null,
            note: 'Reads your request',
          },
          `You asked for changes: ${String(body.text)}`,
        );
      case 'caps':
        this.caps.set(id, body as Caps);
        return this.change(
          id,
          { budget_usd: (body.cost_usd as number | null) ?? null },
          'Caps changed',
        );
      default:
        throw new Error(`there is no command ${action}`);
    }
  }

  answer(approval: string, answer: Answer): TaskCard {
    const task = this.tasks.find((each) => each.question?.id === approval);
    if (!task?.question) throw new Error('the question was answered already');
    if (answer.digest !== task.question.digest) throw new Error('something else was asked');
    const kept = task.question.kind === 'plan' && answer.type === 'deny';
    return this.change(
      task.id,
      kept
        ? {
            state: 'paused',
            paused: 'plan',
            question: null,
            note: 'you did not say yes to the plan',
          }
        : { state: 'working', question: null, note: 'Carries on' },
      `You answered: ${answer.type}`,
    );
  }

  restoreTrash(id: string): Trash | undefined {
    const item = this.trash.find((each) => each.id === id);
    this.trash = this.trash.filter((each) => each.id !== id);
    return item;
  }

  kpis(): Kpi[] {
    const kpi = (part: Partial<Kpi> & { code: string; title: string }): Kpi => ({
      formula: '',
      target: '',
      value: null,
      unit: '%',
      met: null,
      sample: 0,
      text: '',
      parts: [],
      ...part,
    });
    return [
      kpi({
        code: 'task_completion_rate',
        title: 'Task completion rate',
        formula: 'accepted ÷ (accepted + failed + cancelled or discarded by the person)',
        target: '> 95 %',
        value: 96.42857,
        met: true,
        sample: 28,
        text: '96.43 %: 27 accepted, 1 failed, 0 cancelled',
      }),
      kpi({
        code: 'response_time',
        title: 'Response time per agent',
        formula: 'mean time from the start of a step’s turn to its end',
        target: '< 30 s',
        value: 94.2,
        unit: 's',
        met: false,
        sample: 112,
        text: '94.2 s: mean of 112 turns',
        parts: [
          { title: 'aria: mean', value: 41.5, unit: 's', sample: 28 },
          { title: 'code: mean', value: 180.25, unit: 's', sample: 31 },
        ],
      }),
      kpi({
        code: 'test_coverage',
        title: 'Test coverage',
        formula: 'covered ÷ all lines, as the latest check that says so reported it',
        target: '> 90 %',
        text: 'not measured yet: no check’s output reports it',
      }),
      kpi({
        code: 'bug_detection_rate',
        title: 'Bug detection rate',
        formula:
          'defects that the checks or Beta found ÷ those and the person’s requests for changes',
        target: '> 95 %',
        value: 0,
        met: false,
        sample: 2,
        text: '0 %: 0 found by the checks and Beta, 2 by the person',
      }),
      kpi({
        code: 'user_satisfaction',
        title: 'User satisfaction',
        formula: 'mean of the ratings from 1 to 5 that the person gave',
        target: '> 4.5',
        unit: '',
        text: 'not measured yet: nobody was asked',
      }),
    ];
  }

  doctor(): Doctor {
    return {
      ready: false,
      owned: true,
      differences: this.differences,
      checks: [
        { code: 'git', title: 'Git', state: 'ok', found: 'git 2.39.5', fix: '' },
        {
          code: 'claude',
          title: 'Claude Code',
          state: 'ok',
          found: 'version 2.1.207 at /usr/local/bin/claude',
          fix: '',
        },
        {
          code: 'login',
          title: 'Claude login',
          state: 'broken',
          found: 'not logged in, and no API key is stored',
          fix: 'Run `claude` once and log in, or save a key with `nexus keys set anthropic`',
        },
        {
          code: 'keychain',
          title: 'Keychain',
          state: 'warning',
          found: 'the login keychain is locked',
          fix: 'Unlock it, or set NEXUS_SECRETS=env',
        },
        {
          code: 'data_folder',
          title: 'Data folder',
          state: 'ok',
          found: '/home/me/.local/share/nexus, 41 GB free',
          fix: '',
        },
      ],
    };
  }
}
