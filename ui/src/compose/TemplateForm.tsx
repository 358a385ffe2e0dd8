/** A task from a form: which one, its fields, and the text that it makes. */
import { NativeSelect, Textarea, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../api/client';
import type { Template, TemplateField, Templates } from '../api/types';
import { priorities } from '../app/commands';
import { type Draft, edit } from '../app/desk';
import css from './Composer.module.css';
import { givenFields, obstacle, textIn } from './request';

/** The forms for tasks on this folder. */
export function useTemplates(folder: string) {
  return useQuery({
    queryKey: ['templates', folder],
    queryFn: () => api.templates(folder),
    enabled: folder !== '',
  });
}

export function TemplateChoice({ all, chosen }: { all: Templates | undefined; chosen: string }) {
  const of = (source: Template['source']) =>
    (all?.templates ?? [])
      .filter((template) => template.source === source)
      .map(({ name, title }) => ({ value: name, label: title }));
  const own = of('project');
  return (
    <>
      <NativeSelect
        label="Begin with"
        description={all?.templates.find((template) => template.name === chosen)?.description}
        inputWrapperOrder={['label', 'input', 'description']}
        value={chosen}
        onChange={(event) => edit({ template: event.currentTarget.value })}
        data={[
          { value: '', label: 'Free text' },
          { group: 'Templates', items: of('built_in') },
          ...(own.length > 0 ? [{ group: 'Of this folder', items: own }] : []),
        ]}
        data-testid="composer-template"
      />
      {(all?.broken ?? []).map(({ file, problem }) => (
        <p key={file} className={css.broken}>
          <code>{file}</code> cannot be used: {problem}
        </p>
      ))}
    </>
  );
}

export function TemplateForm({ template, draft }: { template: Template; draft: Draft }) {
  return (
    <>
      {template.fields.map((field, at) => (
        <Field key={field.name} field={field} draft={draft} first={at === 0} />
      ))}
      <Preview template={template} draft={draft} />
    </>
  );
}

const hints: Partial<Record<TemplateField['kind'], string>> = {
  lines: 'One on each line',
  files: 'Files of the folder, one on each line',
  folder: 'A folder or a file in the project',
  duration: 'Such as 90 min or 3 h',
};

function Field(props: { field: TemplateField; draft: Draft; first: boolean }) {
  const { field, draft, first } = props;
  const set = (value: string) => edit({ fields: { ...draft.fields, [field.name]: value } });
  const common = {
    label: field.label,
    description: field.help || hints[field.kind],
    // A star alone says too little; the line at the bottom names what is still empty.
    withAsterisk: field.required,
    value: textIn(field, draft.fields),
    onChange: (event: { currentTarget: { value: string } }) => set(event.currentTarget.value),
    ...(first ? { 'data-autofocus': true } : {}),
    'data-testid': `field-${field.name}`,
  };
  switch (field.kind) {
    case 'text':
      return <Textarea {...common} autosize minRows={1} maxRows={10} />;
    case 'lines':
    case 'files':
      return <Textarea {...common} autosize minRows={2} maxRows={10} />;
    case 'choice':
      return <NativeSelect {...common} data={choices(field)} />;
    case 'priority':
      return <NativeSelect {...common} data={priorities} />;
    case 'command':
      return <TextInput {...common} classNames={{ input: css.command ?? '' }} />;
    case 'folder':
    case 'duration':
      return <TextInput {...common} />;
  }
}

/** What need not be chosen can be left open. */
function choices({ options, required, default: usual }: TemplateField) {
  const all = options ?? [];
  return required && usual != null ? all : [{ value: '', label: '–' }, ...all];
}

const SETTLE_MS = 400;

/** The text that is going to be sent, made by the server as it would make it then. */
function Preview({ template, draft }: { template: Template; draft: Draft }) {
  const [open, setOpen] = useState(false);
  const [settled] = useDebouncedValue(draft.fields, SETTLE_MS);
  const fields = givenFields(template, settled);
  const missing = obstacle({ ...draft, fields: settled }, [draft.folder], template);
  const filled = useQuery({
    queryKey: ['fill', template.name, draft.folder, fields],
    queryFn: () => api.fill(template.name, draft.folder, fields),
    enabled: open && missing === null,
    retry: false,
  });
  return (
    <div>
      <button
        type="button"
        className={css.more}
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        data-testid="preview-toggle"
      >
        {open ? 'Hide the text' : 'Show the text that will be sent'}
      </button>
      {open ? (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a long text is scrolled with the keyboard
        <div className={css.preview} tabIndex={0} data-testid="preview">
          {missing ?? filled.error?.message ?? filled.data?.text ?? '…'}
        </div>
      ) : null}
    </div>
  );
}
