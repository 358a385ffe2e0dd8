/**
 * The colours of NEXUS, once. `theme.ts` turns them into CSS variables; `tokens.test.ts` proves
 * that every pair of text and ground can be read.
 */
import type { Role } from '../api/types';

export interface Neutrals {
  app: string;
  surface: string;
  raised: string;
  /** Under the pointer, and behind code. */
  hover: string;
  text: string;
  muted: string;
  divider: string;
  control: string;
}

export interface Tone {
  text: string;
  tint: string;
}

export interface AgentTone extends Tone {
  line: string;
}

export type Meaning = 'info' | 'success' | 'warning' | 'danger';

export interface Scheme {
  neutral: Neutrals;
  agent: Record<Role, AgentTone>;
  meaning: Record<Meaning, Tone>;
  diff: { addLine: string; addWord: string; delLine: string; delWord: string };
  /** Text of links and of the chosen rail item. */
  accent: Tone;
}

/** Action colours that carry white text in both schemes. */
export const solid = {
  accent: '#734dbe',
  accentHover: '#6343a4',
  danger: '#ab413e',
  success: '#0a7e3a',
} as const;

export const light: Scheme = {
  neutral: {
    app: '#f5f6f8',
    surface: '#ffffff',
    raised: '#ffffff',
    hover: '#eceef2',
    text: '#1b1f27',
    muted: '#535b69',
    divider: '#d9dde4',
    control: '#7d8695',
  },
  agent: {
    prime: { text: '#6343a4', line: '#8f6edb', tint: '#f1edfe' },
    aria: { text: '#8b4501', line: '#c96805', tint: '#feece1' },
    code: { text: '#0859ac', line: '#3986e4', tint: '#e7f1ff' },
    alpha: { text: '#056965', line: '#079a94', tint: '#def6f4' },
    beta: { text: '#942d66', line: '#ca5794', tint: '#feeaf2' },
  },
  meaning: {
    info: { text: '#045e8c', tint: '#e4f3fe' },
    success: { text: '#026a2e', tint: '#e4f6e6' },
    warning: { text: '#735103', tint: '#faefdc' },
    danger: { text: '#972e2d', tint: '#ffebe9' },
  },
  diff: { addLine: '#e0fae4', addWord: '#b0ecbc', delLine: '#feedec', delWord: '#fecdc8' },
  accent: { text: '#6343a4', tint: '#f1edfe' },
};

export const dark: Scheme = {
  neutral: {
    app: '#0e1014',
    surface: '#16191f',
    raised: '#1e222a',
    hover: '#242932',
    text: '#e7eaf0',
    muted: '#a3abb9',
    divider: '#2c323c',
    control: '#6f7887',
  },
  agent: {
    prime: { text: '#c6b3ff', line: '#a58bec', tint: '#2b243f' },
    aria: { text: '#f8ae7b', line: '#e0843e', tint: '#3c220f' },
    code: { text: '#97c4fe', line: '#5fa1f3', tint: '#172a41' },
    alpha: { text: '#5cd8d1', line: '#08b6af', tint: '#00302e' },
    beta: { text: '#f7a3cb', line: '#de77ab', tint: '#3b1e2c' },
  },
  meaning: {
    info: { text: '#86cdff', tint: '#0a2c41' },
    success: { text: '#8ed99d', tint: '#13301a' },
    warning: { text: '#eabc6c', tint: '#372504' },
    danger: { text: '#ffaba3', tint: '#401d1b' },
  },
  diff: { addLine: '#122a18', addWord: '#1d4e2b', delLine: '#371b19', delWord: '#662f2c' },
  accent: { text: '#c6b3ff', tint: '#2b243f' },
};

/** Monogram and name always stand beside the colour: colour alone does not tell them apart. */
export const seats: Record<Role, { mono: string; name: string }> = {
  prime: { mono: 'NP', name: 'NEXUS Prime' },
  aria: { mono: 'AR', name: 'Aria' },
  code: { mono: 'CO', name: 'Code' },
  alpha: { mono: 'AL', name: 'Alpha' },
  beta: { mono: 'BE', name: 'Beta' },
};

export const roles: readonly Role[] = ['prime', 'aria', 'code', 'alpha', 'beta'];

/** A scheme as CSS variables, named `--nx-…`. */
export function cssVariables(scheme: Scheme): Record<string, string> {
  const all: Record<string, string> = {};
  for (const [name, value] of Object.entries(scheme.neutral)) all[`--nx-${name}`] = value;
  for (const [role, tone] of Object.entries(scheme.agent)) {
    all[`--nx-${role}-text`] = tone.text;
    all[`--nx-${role}-line`] = tone.line;
    all[`--nx-${role}-tint`] = tone.tint;
  }
  for (const [meaning, tone] of Object.entries(scheme.meaning)) {
    all[`--nx-${meaning}-text`] = tone.text;
    all[`--nx-${meaning}-tint`] = tone.tint;
  }
  all['--nx-accent-text'] = scheme.accent.text;
  all['--nx-accent-tint'] = scheme.accent.tint;
  all['--nx-add-line'] = scheme.diff.addLine;
  all['--nx-add-word'] = scheme.diff.addWord;
  all['--nx-del-line'] = scheme.diff.delLine;
  all['--nx-del-word'] = scheme.diff.delWord;
  return all;
}
