/** The task at a glance: what was wanted, what is claimed, and what is proven. */
import { Fragment, type ReactNode, useState } from 'react';
import type { CheckRun, Evidence, Permissions, Planner, Step, Task } from '../api/types';
import { StandingTag } from '../board/TaskCard';
import { duration, sentence } from '../parts/format';
import { Markdown } from '../parts/Markdown';
import { Notice } from '../parts/Notice';
import { SeatName } from '../parts/Seat';
import { Claim, Tag } from '../parts/Tag';
import { Checklist, checklistOf } from './Checklist';
import { Flags } from './Flags';
import { Milestones } from './Milestones';
import { StepList, stepName } from './StepList';
import css from './Summary.module.css';

const rights: Record<Permissions, string> = {
  ask: 'Every edit and command is asked for',
  workspace: 'Free inside the copy; everything else asks',
  all: 'Any command may run, not contained',
};

const planners: Record<Planner, string> = {
  standard: 'Standard pipeline',
  openai: 'OpenAI-compatible model',
  claude: 'Claude Code',
};

export function Summary({ task }: { task: Task }) {
  const checklist = checklistOf(task);
  return (
    <div className={css.page}>
      <div className={css.main}>
        <Part title="What you asked for">
          <p className={css.wish}>{task.text}</p>
        </Part>
        <Part title="What NEXUS checked itself">
          <Proof task={task} />
        </Part>
        {task.flags.length > 0 ? (
          <Part title="To look at" note="noticed by NEXUS in the changes">
            <Flags task={task} />
          </Part>
        ) : null}
        {checklist.length > 0 ? (
          <Part title="What has to be true of the result">
            <Checklist items={checklist} />
          </Part>
        ) : null}
        {task.summary ? (
          <Part title="What the team says" note="a claim, in its own words">
            <Markdown text={task.summary} />
          </Part>
        ) : null}
        {task.steps.some((step) => step.summary) ? (
          <Part title="Step by step">
            {task.steps.map((step) => (
              <StepReport key={step.id} step={step} name={stepName(step, task.card.title)} />
            ))}
          </Part>
        ) : null}
      </div>
      <aside className={css.side}>
        <StepList task={task} />
        <Milestones task={task} />
        <h2 className={css.sideTitle}>Where</h2>
        <dl className={css.facts}>
          <Fact name="Your folder" value={task.folder} />
          <Fact name="The task’s copy" value={task.workspace ?? 'not there now'} />
          <Fact name="Scratchpads" value={task.scratchpads} />
        </dl>
        <h2 className={css.sideTitle}>How</h2>
        <dl className={css.facts}>
          <Fact
            name="Team"
            value={task.card.team === 'practice' ? 'Practice, no AI' : 'Claude Code agents'}
          />
          <Fact name="Planner" value={planners[task.planner]} />
          {task.terms.template ? <Fact name="Made from" value={task.terms.template} /> : null}
          {task.terms.plan_first ? (
            <Fact name="Plan" value="You look at it before any agent begins" />
          ) : null}
          {task.terms.seats ? (
            <Fact name="Side by side" value={`Up to ${task.terms.seats} of a role`} />
          ) : null}
          {task.terms.after.length > 0 ? (
            <Fact
              name="Begins after"
              value={`${task.terms.after.join(', ')}${task.terms.shares_context ? ', and is told what they handed over' : ''}`}
            />
          ) : null}
          <Fact name="Permissions" value={rights[task.permissions]} />
        </dl>
        {task.not_contained ? (
          <Notice meaning="warning">
            Commands of this task run with your rights on this machine. They are not contained.
          </Notice>
        ) : null}
      </aside>
    </div>
  );
}

function Part({ title, note, children }: { title: string; note?: string; children: ReactNode }) {
  return (
    <section className={css.part}>
      <h2 className={css.title}>
        {title} {note ? <span className={css.note}>{note}</span> : null}
      </h2>
      {children}
    </section>
  );
}

const Fact = ({ name, value }: { name: string; value: string }) => (
  <div>
    <dt>{name}</dt>
    <dd>{value}</dd>
  </div>
);

/** The checks after the work beside the same checks before it. */
export function Proof({ task }: { task: Task }) {
  return (
    <>
      <p className={css.standing}>
        {task.card.standing ? <StandingTag standing={task.card.standing} /> : null}{' '}
        {sentence(task.standing_text)}
      </p>
      <Checks before={task.baseline ?? null} after={task.evidence ?? null} />
    </>
  );
}

function Checks({ before, after }: { before: CheckRun | null; after: CheckRun | null }) {
  const commands = [
    ...new Set([...(after?.checks ?? []), ...(before?.checks ?? [])].map((check) => check.command)),
  ];
  const [open, setOpen] = useState<string | null>(null);
  if (commands.length === 0) return null;
  const find = (run: CheckRun | null, command: string) =>
    run?.checks.find((check) => check.command === command);
  return (
    <div className={css.tableFrame}>
      <table className={css.checks} data-testid="evidence">
        <thead>
          <tr>
            <th scope="col">Check</th>
            <th scope="col">Before</th>
            <th scope="col">After</th>
            <th scope="col">
              <span className={css.hidden}>Output</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {commands.map((command) => {
            const now = find(after, command);
            const shown = open === command;
            return (
              <Fragment key={command}>
                <tr>
                  <td>
                    <code>{command}</code>
                  </td>
                  <td>
                    <Result check={find(before, command)} />
                  </td>
                  <td>
                    <Result check={now} />
                  </td>
                  <td className={css.right}>
                    {now ? (
                      <button
                        type="button"
                        className={css.toggle}
                        aria-expanded={shown}
                        onClick={() => setOpen(shown ? null : command)}
                      >
                        {shown ? 'Hide output' : 'Output'}
                      </button>
                    ) : null}
                  </td>
                </tr>
                {shown && now ? (
                  <tr>
                    <td colSpan={4}>
                      <pre className={css.output}>{now.output_tail || '(no output)'}</pre>
                      <p className={css.note}>
                        Content {now.tree.slice(0, 12)} · output {now.output_sha256.slice(0, 12)}
                      </p>
                    </td>
                  </tr>
                ) : null}
              </Fragment>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function exitWords(check: Evidence): string {
  if (check.ok) return 'passed';
  if (check.exit_code === 124) return 'timed out';
  if (check.exit_code === 127) return 'program not found';
  return `exit ${check.exit_code}`;
}

function Result({ check }: { check: Evidence | undefined }) {
  if (!check) return <span className={css.note}>not run</span>;
  return (
    <span className={css.result}>
      <Tag meaning={check.ok ? 'success' : 'danger'}>{exitWords(check)}</Tag>
      <span className={css.note}>{duration(check.duration_ms)}</span>
    </span>
  );
}

function StepReport({ step, name }: { step: Step; name: string }) {
  if (!step.summary && step.findings.length === 0) return null;
  return (
    <div className={css.report}>
      <div className={css.reportHead}>
        <SeatName role={step.role} />
        <span className={css.note}>{name}</span>
        {step.verdict ? <Claim>says: {step.verdict}</Claim> : null}
        {step.structured ? null : <Tag meaning="plain">written as plain text</Tag>}
      </div>
      {step.summary ? <Markdown text={step.summary} /> : null}
      {step.findings.length > 0 ? (
        <ul className={css.findings}>
          {step.findings.map((finding) => (
            <li key={`${finding.location ?? ''}${finding.problem}`}>
              <Tag meaning={finding.severity === 'low' ? 'plain' : 'warning'}>
                {finding.severity}
              </Tag>{' '}
              {finding.problem} {finding.location ? <code>{finding.location}</code> : null}
              {finding.suggestion ? <p className={css.note}>{finding.suggestion}</p> : null}
            </li>
          ))}
        </ul>
      ) : null}
    </div>
  );
}
