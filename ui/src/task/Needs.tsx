/** What a task needs from the person, above everything else that can be known about it. */
import { Button } from '@mantine/core';
import { useLocation } from 'wouter';
import type { Plan, Task, TaskCard } from '../api/types';
import { pausedByItself } from '../board/columns';
import { parts as codeParts } from '../doctor/Fix';
import { pauseWords, wayOn } from '../limits/pause';
import { plural, sentence } from '../parts/format';
import { Notice } from '../parts/Notice';
import { visible } from '../parts/visible';
import { useUnsaved } from '../plan/drafts';
import { estimateLine } from '../plan/words';
import css from './Needs.module.css';
import { Question } from './Question';

export function Needs({ card, task }: { card: TaskCard; task: Task | undefined }) {
  const questions = task?.questions.length ? task.questions : card.question ? [card.question] : [];
  const unsaved = useUnsaved(card.id);
  const any =
    questions.length > 0 ||
    pausedByItself(card) ||
    (task && (task.failure || task.verdict_failed || task.conflicts.length > 0));
  if (!any) return null;
  return (
    <div className={css.needs}>
      {questions.map((question) => (
        <Question
          key={question.id}
          question={question}
          card={card}
          folder={task?.workspace}
          among={questions.length}
          focus={question === questions[0]}
          held={question.kind === 'plan' ? unsaved : null}
        >
          {question.kind === 'plan' && task ? <PlanGuess plan={task.plan} /> : null}
        </Question>
      ))}
      {pausedByItself(card) ? <PausedNotice card={card} /> : null}
      {task?.failure && card.state === 'failed' ? (
        <Notice meaning="danger">{task.failure}</Notice>
      ) : null}
      {task?.verdict_failed ? (
        <Notice meaning="warning" title="Something is still to be mended">
          The rounds are used up. The findings are in the summary. Accept it as it is, or request
          changes.
        </Notice>
      ) : null}
      {task && task.conflicts.length > 0 ? (
        <Notice meaning="warning" title="Your folder changed meanwhile">
          {task.conflicts.join(', ')}: NEXUS does not overwrite what you changed. Put those files
          back as they were, or request changes.
        </Notice>
      ) : null}
    </div>
  );
}

/** How big the plan is that is to be approved. */
function PlanGuess({ plan }: { plan: Plan }) {
  return (
    <p className={css.guess} data-testid="plan-guess">
      Plan v{plan.version} with {plural(plan.steps.length, 'step')}. The planner’s guess:{' '}
      {estimateLine(plan.estimate)}. Usual here: {estimateLine(plan.usual)}.
    </p>
  );
}

/** Why it does not go on by itself, from the card, so that it is there at once. */
function PausedNotice({ card }: { card: TaskCard }) {
  const [, go] = useLocation();
  const act = card.paused === 'unsure' ? null : wayOn(card, () => go(`/t/${card.name}/plan`));
  return (
    <Notice meaning="warning" title={pauseWords[card.paused ?? 'person'].long}>
      <span className={css.pausedRow}>
        <span className={css.pausedText}>
          {codeParts(sentence(card.note)).map((piece) =>
            piece.command ? (
              <code key={piece.text}>{visible(piece.text)}</code>
            ) : (
              <span key={piece.text}>{visible(piece.text)}</span>
            ),
          )}
        </span>
        {act ? (
          <Button variant="default" onClick={act.run}>
            {act.name}
          </Button>
        ) : null}
      </span>
    </Notice>
  );
}
