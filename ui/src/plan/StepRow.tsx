/** One step of a plan that is being edited: its line, and its form when it is open. */
import { ArrowDown, ArrowUp, Lock, Pencil, Trash2 } from 'lucide-react';
import type { ReactNode } from 'react';
import type { StageState } from '../api/types';
import { SeatName, stageWords } from '../parts/Seat';
import { Tag } from '../parts/Tag';
import { isOther, type PlanDraft, type Planned } from './draft';
import { asStep, Waits } from './PlanList';
import { StepForm } from './StepForm';
import css from './StepRow.module.css';

interface Props {
  draft: PlanDraft;
  step: Planned;
  state: StageState;
  first: boolean;
  last: boolean;
  open: boolean;
  /** What the server found wrong with it. */
  problems: readonly string[];
  onOpen(): void;
  onChange(draft: PlanDraft): void;
  onMove(by: -1 | 1): void;
  onRemove(): void;
}

export function StepRow(props: Props) {
  const { draft, step, state, open, problems } = props;
  const name = `step ${step.id}`;
  return (
    <li
      {...asStep(step.id)}
      className={css.row}
      data-wrong={problems.length > 0}
      data-testid={`edit-${step.id}`}
    >
      <div className={css.line}>
        <span className={css.id}>{step.id}</span>
        <div className={css.what}>
          <div className={css.title}>
            {step.title || <span className={css.muted}>no title yet</span>}
          </div>
          <div className={css.facts}>
            <SeatName role={step.role ?? 'code'} />
            <Waits after={step.after} />
            {isOther(draft, step.id) ? <Tag meaning="info">changed</Tag> : null}
          </div>
        </div>
        <div className={css.acts}>
          <Act
            name={`Move ${name} up`}
            held={props.first}
            run={() => props.onMove(-1)}
            icon={<ArrowUp size={14} aria-hidden />}
          />
          <Act
            name={`Move ${name} down`}
            held={props.last}
            run={() => props.onMove(1)}
            icon={<ArrowDown size={14} aria-hidden />}
          />
          {step.begun ? null : (
            <>
              <Act
                name={open ? `Close ${name}` : `Edit ${name}`}
                expanded={open}
                run={props.onOpen}
                icon={<Pencil size={14} aria-hidden />}
              />
              <Act
                name={`Remove ${name}`}
                run={props.onRemove}
                icon={<Trash2 size={14} aria-hidden />}
              />
            </>
          )}
        </div>
      </div>
      {step.begun ? (
        <p className={css.locked}>
          <Lock size={12} aria-hidden /> Begun ({stageWords[state]}), so it stays as it is.
        </p>
      ) : null}
      {problems.map((problem) => (
        <p key={problem} className={css.problem}>
          <span aria-hidden>× </span>
          {problem}
        </p>
      ))}
      {open && !step.begun ? (
        <StepForm draft={draft} step={step} onChange={props.onChange} />
      ) : null}
    </li>
  );
}

interface ActProps {
  name: string;
  icon: ReactNode;
  run(): void;
  /** It cannot be done now; it keeps the focus all the same. */
  held?: boolean;
  expanded?: boolean;
}

function Act({ name, icon, run, held = false, expanded }: ActProps) {
  return (
    <button
      type="button"
      className={css.act}
      aria-label={name}
      title={name}
      aria-disabled={held}
      aria-expanded={expanded}
      onClick={() => {
        if (!held) run();
      }}
    >
      {icon}
    </button>
  );
}
