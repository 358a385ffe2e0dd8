/** The forms for tasks of the made-up NEXUS. */
import type { Filled, Template, TemplateField, Templates } from '../src/api/types';
import { Refused } from './plans.ts';

const field = (
  name: string,
  label: string,
  kind: TemplateField['kind'],
  part: Partial<TemplateField> = {},
): TemplateField => ({
  name,
  label,
  kind,
  help: '',
  options: [],
  required: false,
  default: null,
  ...part,
});

const priority = field('priority', 'Priority', 'priority', { default: 'normal' });

const builtIn: Template[] = [
  {
    name: 'web-application',
    title: 'Web application',
    description: 'Something new that people use in a browser.',
    source: 'built_in',
    needs_checks: false,
    priority: 'normal',
    checklist: ['It starts with one command', 'Every requirement can be tried by hand'],
    fields: [
      field('goal', 'What is it for?', 'text', { required: true }),
      field('requirements', 'Requirements', 'lines', { required: true, help: 'One on each line' }),
      field('technology', 'Technology', 'choice', {
        options: ['As the folder has it', 'Plain HTML', 'React', 'Server-side'],
        default: 'As the folder has it',
      }),
      field('time', 'Time at work', 'duration', { help: 'Such as 90 min or 3 h' }),
    ],
  },
  {
    name: 'bug-fix',
    title: 'Mend a bug, with a test',
    description: 'Alpha first writes a test that shows it; then Code mends it.',
    source: 'built_in',
    needs_checks: false,
    priority: 'high',
    checklist: ['A test fails without the change and passes with it', 'Nothing else changes'],
    fields: [
      field('symptom', 'What goes wrong?', 'text', {
        required: true,
        help: 'What you did, what you saw, what you expected',
      }),
      field('path', 'Where, if you know', 'folder'),
      field('reproduce', 'Command that shows it', 'command'),
      { ...priority, default: 'high' },
    ],
  },
  {
    name: 'improve',
    title: 'Review and make faster',
    description: 'Measures first, changes then, measures again.',
    source: 'built_in',
    needs_checks: false,
    priority: 'normal',
    checklist: ['The target is reached, measured by the command', 'No test was changed'],
    fields: [
      field('focus', 'What is too slow?', 'text', { required: true }),
      field('files', 'Files to look at', 'files', { help: 'One on each line' }),
      field('target', 'Target', 'text', { required: true, help: 'Such as half of the query time' }),
      field('measure', 'Command that measures it', 'command', { required: true }),
    ],
  },
  {
    name: 'tests',
    title: 'Write tests',
    description: 'Tests for code that has too few. The code itself stays as it is.',
    source: 'built_in',
    needs_checks: false,
    priority: 'normal',
    checklist: ['Each new test can fail'],
    fields: [field('files', 'What is to be tested?', 'files', { required: true })],
  },
  {
    name: 'documentation',
    title: 'Write documentation',
    description: 'A text for people, checked against the code.',
    source: 'built_in',
    needs_checks: false,
    priority: 'low',
    checklist: ['Every command in it was tried'],
    fields: [
      field('subject', 'About what?', 'text', { required: true }),
      field('readers', 'For whom?', 'text', { default: 'New colleagues' }),
    ],
  },
];

const own: Template = {
  name: 'new-carrier',
  title: 'Connect a new carrier',
  description: 'How shop-api takes another parcel service in.',
  source: 'project',
  needs_checks: false,
  priority: 'normal',
  checklist: ['Labels can be printed', 'The price list is complete'],
  fields: [
    field('carrier', 'Name of the carrier', 'text', { required: true }),
    field('interface', 'Where its interface is described', 'text'),
  ],
};

export function templatesFor(folder: string): Templates {
  const shop = folder.endsWith('/shop-api');
  return {
    templates: shop ? [...builtIn, own] : builtIn,
    broken: shop
      ? [{ file: '.nexus/templates/release.toml', problem: 'line 4: a field has no name' }]
      : [],
  };
}

export function fill(name: string, folder: string, given: Record<string, string>): Filled {
  const template = templatesFor(folder).templates.find((each) => each.name === name);
  if (!template) throw new Refused(404, 'not_found', `there is no template ${name}`);
  const value = (each: TemplateField) => given[each.name]?.trim() || each.default || '';
  const missing = template.fields.filter((each) => each.required && value(each) === '');
  if (missing.length > 0) {
    const names = missing.map((each) => each.label).join(', ');
    throw new Refused(400, 'bad_request', `fill in first: ${names}`);
  }
  const lines = template.fields
    .filter((each) => value(each) !== '')
    .map((each) =>
      each.kind === 'lines' || each.kind === 'files'
        ? `${each.label}:\n${value(each)
            .split('\n')
            .map((line) => `- ${line}`)
            .join('\n')}`
        : `${each.label}: ${value(each)}`,
    );
  const first = template.fields[0];
  return {
    title: `${template.title}: ${first ? (value(first).split('\n')[0] ?? '') : ''}`.slice(0, 200),
    text: `${template.description}\n\n${lines.join('\n\n')}`,
    checklist: template.checklist,
    priority: (given.priority as Filled['priority']) || template.priority,
    max_seconds: null,
    plan: null,
  };
}
