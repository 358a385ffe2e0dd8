/** The keys that work everywhere, except while one writes. */
import { useEffect } from 'react';
import { useLocation } from 'wouter';
import { waitsForYou } from '../inbox/waiting';
import { useLive } from '../live/store';
import { compose, show, useDesk } from './desk';

export const shortcuts: readonly [string, string][] = [
  ['Ctrl K', 'Search tasks and commands'],
  ['c', 'New task'],
  ['/', 'Filter the board'],
  ['n', 'Next task that needs you'],
  ['g b', 'Board'],
  ['g i', 'Inbox'],
  ['g a', 'Agents'],
  ['g l', 'What is allowed'],
  ['g n', 'Insights'],
  ['g d', 'Doctor'],
  ['← ↑ ↓ →, h j k l', 'Move between the cards'],
  ['Enter', 'Open the card'],
  ['s', 'Start or pause the card'],
  ['m', 'All commands of the card'],
  ['Space', 'Lift a card; arrows move it, Space drops it'],
  ['v s / a / p / m / c / d', 'Summary, activity, plan, messages, changes, details of a task'],
  ['Esc', 'Back to the board'],
  ['Ctrl Enter', 'Start the task, send the request'],
  ['?', 'This list'],
];

export const tabKeys: Record<string, string> = {
  s: 'summary',
  a: 'activity',
  p: 'plan',
  m: 'messages',
  c: 'changes',
  d: 'details',
};

const SEQUENCE_MS = 1_000;

function writing(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

export function useShortcuts() {
  const [path, go] = useLocation();
  useEffect(() => {
    let first: { key: string; at: number } | null = null;
    const next = () => {
      const waiting = waitsForYou(useLive.getState().cards);
      const here = waiting.findIndex((card) => path.startsWith(`/t/${card.name}`));
      const card = waiting[(here + 1) % waiting.length];
      if (card) go(`/t/${card.name}`);
    };
    const single: Record<string, () => void> = {
      c: () => compose(),
      n: next,
      '?': () => show({ type: 'shortcuts' }),
      '/': () => {
        if (path !== '/') go('/');
        requestAnimationFrame(() => document.getElementById('board-filter')?.focus());
      },
    };
    const back = () => {
      if (path !== '/') go('/');
    };
    const second: Record<string, () => void> = {
      'g b': () => go('/'),
      'g i': () => go('/inbox'),
      'g a': () => go('/agents'),
      'g l': () => go('/allowed'),
      'g n': () => go('/insights'),
      'g d': () => go('/doctor'),
    };
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (useDesk.getState().dialog || writing(event.target)) return;
      // Menus and the palette listen for their own keys.
      if (document.querySelector('[role="menu"], [role="dialog"]')) return;
      const pair =
        first && event.timeStamp - first.at < SEQUENCE_MS ? `${first.key} ${event.key}` : '';
      const task = path.match(/^\/t\/[^/]+/)?.[0];
      const tab = pair.startsWith('v ') && task ? tabKeys[event.key] : undefined;
      const act = tab
        ? () => go(`${task}/${tab}`)
        : event.key === 'Escape'
          ? back
          : (second[pair] ?? single[event.key]);
      first = act ? null : { key: event.key, at: event.timeStamp };
      if (!act) return;
      event.preventDefault();
      act();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [path, go]);
}
