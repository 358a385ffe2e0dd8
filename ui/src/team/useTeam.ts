/** The live seats of all tasks, read again when the stream says that one of them did something. */
import { useQuery } from '@tanstack/react-query';
import { useEffect, useMemo } from 'react';
import { api } from '../api/client';
import type { Seat } from '../api/types';
import { useNow } from '../live/clock';
import { useLive } from '../live/store';
import { isSilent, type Shown, SILENT_MS, shown } from './seats';

const none: Seat[] = [];

export function useTeam() {
  const team = useQuery({ queryKey: ['team'], queryFn: api.team, staleTime: 0 });
  const agents = useLive((live) => live.agents);
  const seats = team.data ?? none;
  useSilence(seats, team.refetch);
  const all = useMemo<Shown[]>(() => shown(agents, seats), [agents, seats]);
  return { all, error: team.error, isPending: team.isPending };
}

/** Silence makes no event. While a seat at work is silent it is asked after, once a minute. */
function useSilence(seats: readonly Seat[], ask: () => unknown) {
  const now = useNow(SILENT_MS);
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is the clock that makes it look
  useEffect(() => {
    const { pulses } = useLive.getState();
    const silent = seats.some((seat) =>
      isSilent(seat, pulses[seat.task_id]?.[seat.turn ?? -1], now),
    );
    if (silent) void ask();
  }, [now]);
}

/** What is heard of the turn that a seat is in. */
export const usePulse = (seat: Seat) =>
  useLive((live) => (seat.turn == null ? undefined : live.pulses[seat.task_id]?.[seat.turn]));
