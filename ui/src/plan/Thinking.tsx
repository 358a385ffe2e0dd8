/** What NEXUS Prime says while it plans or judges: to be seen passing by, not to be read aloud. */
import { useNow } from '../live/clock';
import { isFresh, type Thought } from '../live/pulse';
import { useLive } from '../live/store';
import css from './Thinking.module.css';

export function Thinking({ id }: { id: string }) {
  const thought = useLive((live) => live.thoughts[id]);
  return thought ? <Words thought={thought} /> : null;
}

function Words({ thought }: { thought: Thought }) {
  // The clock ticks after the words came: they are new until it says otherwise.
  const now = Math.max(useNow(), thought.at);
  if (!isFresh(thought, now)) return null;
  return (
    <section className={css.thinking} aria-label="NEXUS Prime is thinking" data-testid="thinking">
      <h2 className={css.title}>NEXUS Prime is thinking…</h2>
      <div className={css.tail} aria-live="off">
        <p>{thought.text}</p>
      </div>
    </section>
  );
}
