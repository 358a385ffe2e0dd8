/** The live seats of the made-up NEXUS. */
import type { Seat, TaskCard } from '../src/api/types';
import { names } from './basics.ts';

/** The live seats of all tasks. */
export function seatsOf(tasks: readonly TaskCard[], now = Date.now()): Seat[] {
  const heard = (seconds: number) => new Date(now - seconds * 1000).toISOString();
  return tasks.flatMap((task): Seat[] => {
    if (!['planning', 'working', 'needs_you'].includes(task.state) || task.hold) return [];
    const seat = (part: Partial<Seat>): Seat => ({
      seat: task.active_role ?? 'code',
      title: names[task.active_role ?? 'code'],
      role: task.active_role ?? 'code',
      task_id: task.id,
      task_name: task.name,
      step: 1,
      step_title: null,
      state: task.stopping ? 'stopping' : task.question ? 'needs_you' : 'tool',
      tool: null,
      object: null,
      heard_at: heard(3),
      stalled: false,
      context_tokens: 41_000,
      tokens: Math.round(task.tokens / 2),
      cost_usd: task.cost_usd == null ? null : task.cost_usd / 2,
      lane: false,
      turn: 1,
      started_at: task.started_at ?? null,
      ...part,
    });
    if (task.name === 'T-21') {
      return [
        seat({
          seat: 'code',
          title: 'Code',
          role: 'code',
          step: 3,
          step_title: 'List the points near a postcode',
          tool: 'Edit',
          object: 'src/points/near.rs',
          context_tokens: 68_000,
          tokens: 52_000,
          cost_usd: 0.61,
          lane: true,
          turn: 4,
        }),
        seat({
          seat: 'code-2',
          title: 'Code 2',
          role: 'code',
          step: 4,
          step_title: 'Choose a point at the checkout',
          tool: 'Bash',
          object: 'cargo test -p checkout',
          heard_at: heard(12),
          context_tokens: 74_000,
          tokens: 58_000,
          cost_usd: 0.7,
          lane: true,
          turn: 5,
        }),
        seat({
          seat: 'code-3',
          title: 'Code 3',
          role: 'code',
          state: 'thinking',
          step: 9,
          step_title: 'Put step 5 together with the work of the others',
          heard_at: heard(1),
          context_tokens: 22_000,
          tokens: 6_000,
          cost_usd: 0.07,
          lane: true,
          turn: 7,
        }),
        seat({
          seat: 'aria',
          title: 'Aria',
          role: 'aria',
          state: 'parked',
          step: null,
          heard_at: heard(1_500),
          turn: null,
          tokens: 21_000,
          cost_usd: 0.18,
        }),
      ];
    }
    if (task.name === 'T-25') {
      return [
        seat({
          step_title: 'Analysis',
          tool: 'Bash',
          object: 'journalctl --user -u nightly --since yesterday',
          heard_at: heard(412),
          stalled: true,
          context_tokens: 118_000,
        }),
      ];
    }
    // Prime asks, but Prime sits in no agent's seat.
    if (task.active_role === 'prime' || task.active_role == null) return [];
    const [tool, ...object] = task.note.split(' ');
    return [
      seat(
        task.question || task.stopping
          ? {}
          : { tool: tool ?? null, object: object.join(' ') || null, turn: 2 },
      ),
    ];
  });
}
