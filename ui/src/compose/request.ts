/** From a draft to the task that is asked for. */
import type { Filled, NewTask, Priority, Template, TemplateField } from '../api/types';
import type { Draft } from '../app/desk';

/** What the server takes, so that a text that is too long is known before it is sent. */
export const TEXT_LIMIT = 256 * 1024;

/** What stands in a field: what was written, or what the template offers. */
export const textIn = (field: TemplateField, fields: Draft['fields']) =>
  fields[field.name] ?? field.default ?? '';

/** What stops the draft from being sent, in words; `null` when nothing does. */
export function obstacle(
  draft: Draft,
  folders: readonly string[],
  template: Template | null = null,
): string | null {
  if (template) {
    const missing = template.fields.filter(
      (field) => field.required && textIn(field, draft.fields).trim() === '',
    );
    if (missing.length > 0) return `Still empty: ${missing.map(({ label }) => label).join(', ')}`;
  } else {
    if (draft.text.trim() === '') return 'Write what you want first.';
    if (new TextEncoder().encode(draft.text).length > TEXT_LIMIT) {
      return 'The text is longer than 256 KB. Put the long part into a file of the folder.';
    }
  }
  if (!folders.includes(draft.folder)) return 'Choose the folder to work on.';
  return null;
}

/** What is filled into the template and nothing else: fields of another one are left out. */
export const givenFields = (template: Template, fields: Draft['fields']) =>
  Object.fromEntries(template.fields.map((field) => [field.name, textIn(field, fields)]));

/** Choices are for one task: the next one begins with the usual ones. */
export const usual = {
  text: '',
  title: '',
  tokens: '',
  minutes: '',
  turns: '',
  answerHours: '',
  template: '',
  fields: {},
  priority: null,
  planFirst: false,
  seats: '',
  checklist: null,
  after: [],
  shares: false,
} as const satisfies Partial<Draft>;

/** Something is chosen of what is not shown at once. */
export const chosenBelow = (draft: Draft) =>
  draft.title !== '' ||
  draft.planner !== 'standard' ||
  draft.priority !== null ||
  draft.checklist !== null ||
  draft.after.length > 0 ||
  [draft.tokens, draft.minutes, draft.turns, draft.answerHours, draft.seats].some(
    (each) => each !== '',
  );

/** The caps of a new task. What is left empty is as usual. */
export function limitsOf(draft: Draft) {
  const given = (value: number | '', unit = 1) => (value === '' ? null : Math.round(value * unit));
  return {
    budget_usd: draft.budget === '' ? null : draft.budget,
    max_tokens: given(draft.tokens),
    max_seconds: given(draft.minutes, 60),
    max_turns: given(draft.turns),
    answer_within_seconds: given(draft.answerHours, 3_600),
  };
}

/** What holds for a task made from this template, as far as the person says nothing else. */
export interface Made {
  title: string | null;
  priority: Priority;
  checklist: string[];
}

export function madeOf(draft: Draft, from: Template | Filled | null): Made {
  return {
    title: draft.title.trim() || (from && 'text' in from ? (from.title ?? null) : null),
    priority: draft.priority ?? from?.priority ?? 'normal',
    checklist: draft.checklist ?? from?.checklist ?? [],
  };
}

/** The request for the draft; `filled` is what its template makes of it. */
export function requestOf(
  draft: Draft,
  template: Template | null,
  filled: Filled | null,
): Omit<NewTask, 'start' | 'folder' | 'team'> {
  const { title, priority, checklist } = madeOf(draft, filled);
  const limits = limitsOf(draft);
  return {
    text: filled?.text ?? draft.text.trim(),
    title,
    planner: draft.planner,
    permissions: draft.permissions,
    ...limits,
    max_seconds: limits.max_seconds ?? filled?.max_seconds ?? null,
    priority,
    terms: {
      plan_first: draft.planFirst,
      seats: draft.seats === '' ? null : draft.seats,
      checklist,
      after: draft.after,
      shares_context: draft.shares && draft.after.length > 0,
      template: template?.name ?? null,
    },
    ...(template ? { fields: givenFields(template, draft.fields) } : {}),
  };
}
