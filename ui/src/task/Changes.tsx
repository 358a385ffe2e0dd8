/** What would change in the person's folder, and the evidence that speaks for it. */
import { Loader } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { memo, useMemo, useState } from 'react';
import { api } from '../api/client';
import type { FileChange, Task } from '../api/types';
import { plural } from '../parts/format';
import { Notice } from '../parts/Notice';
import { visible } from '../parts/visible';
import css from './Changes.module.css';
import { type DiffLine, type FileDiff, type Hunk, readPatch } from './patch';
import { Proof } from './Summary';
import { changedWords, type Span } from './words';

/** A longer file is shown on demand, so that a generated one does not hold the page up. */
const LINES_SHOWN = 1_500;

export function Changes({ task }: { task: Task }) {
  const { id } = task.card;
  const diff = useQuery({ queryKey: ['task', id, 'diff'], queryFn: () => api.diff(id) });
  const byPath = useMemo(
    () => new Map(readPatch(diff.data?.patch ?? '').map((file) => [file.path, file])),
    [diff.data],
  );
  // The list is the server's; the diff may know more, where a path was moved.
  const listed = new Set(task.files.map((file) => file.path));
  const more: FileChange[] = [...byPath.values()]
    .filter((file) => !listed.has(file.path))
    .map((file) => ({ path: file.path, change: 'modified' }));
  const files = [...task.files, ...more];
  return (
    <div className={css.page}>
      <nav className={css.files} aria-label="Changed files">
        <h2 className={css.title}>{plural(files.length, 'file')}</h2>
        {files.map((file) => (
          <a
            key={file.path}
            href={`#${anchor(file.path)}`}
            onClick={(event) => {
              event.preventDefault();
              document.getElementById(anchor(file.path))?.scrollIntoView({ block: 'start' });
            }}
          >
            <Letter change={file.change} />
            <span className={css.name} title={file.path}>
              <bdi>{file.path}</bdi>
            </span>
            <Counts file={file} />
          </a>
        ))}
      </nav>
      <div className={css.diffs}>
        <section className={css.proof}>
          <Proof task={task} />
        </section>
        {diff.error ? (
          <Notice meaning="danger" title="The changes could not be read">
            {diff.error.message}
          </Notice>
        ) : null}
        {diff.isPending ? <Loader size="sm" /> : null}
        {files.length === 0 && diff.data ? (
          <p className={css.none}>
            No file has changed{task.card.state === 'done' ? '.' : ' yet.'}
          </p>
        ) : null}
        <div data-testid="diff">
          {diff.data
            ? files.map((file) => (
                <File
                  key={file.path}
                  task={id}
                  file={file}
                  diff={byPath.get(file.path)}
                  cut={diff.data.truncated}
                />
              ))
            : null}
        </div>
      </div>
    </div>
  );
}

const anchor = (path: string) => `file-${encodeURIComponent(path)}`;

const letters: Record<string, string> = { added: 'A', modified: 'M', deleted: 'D' };

const Letter = ({ change }: { change: string }) => (
  <span className={css.letter} data-change={change} title={change}>
    {letters[change] ?? 'M'}
  </span>
);

function Counts({ file }: { file: FileChange }) {
  if (file.added == null && file.removed == null) return <span className={css.counts}>binary</span>;
  return (
    <span className={css.counts}>
      +{file.added ?? 0} −{file.removed ?? 0}
    </span>
  );
}

interface FileProps {
  task: string;
  file: FileChange;
  diff: FileDiff | undefined;
  /** The whole diff was too long to be sent. */
  cut: boolean;
}

const File = memo(function File({ task, file, diff, cut }: FileProps) {
  // The last file of a diff that was cut is cut itself; only asking for it alone tells.
  const [alone, setAlone] = useState(false);
  const [long, setLong] = useState(false);
  const asked = useQuery({
    queryKey: ['task', task, 'diff', file.path],
    queryFn: () => api.diff(task, file.path),
    enabled: alone,
  });
  const shown = asked.data ? readPatch(asked.data.patch)[0] : diff;
  const lines = shown?.hunks.reduce((sum, hunk) => sum + hunk.lines.length, 0) ?? 0;
  return (
    <section className={css.file} id={anchor(file.path)} aria-label={file.path}>
      <header className={css.head}>
        <Letter change={file.change} />
        <span className={css.path}>
          {shown?.from ? `${shown.from} → ` : ''}
          {file.path}
        </span>
        <Counts file={file} />
      </header>
      {shown?.binary ? (
        <p className={css.none}>A binary file. It cannot be shown as lines.</p>
      ) : lines > LINES_SHOWN && !long ? (
        <button type="button" className={css.load} onClick={() => setLong(true)}>
          {lines} lines. Show them
        </button>
      ) : lines > 0 ? (
        <Hunks hunks={shown?.hunks ?? []} />
      ) : cut && !alone ? null : (
        <p className={css.none}>{asked.isFetching ? 'Reading…' : 'No line has changed.'}</p>
      )}
      {cut && !alone ? (
        <button type="button" className={css.load} onClick={() => setAlone(true)}>
          The diff is long. Show this file whole
        </button>
      ) : null}
    </section>
  );
});

const signs = { same: ' ', added: '+', removed: '-', note: '' } as const;

function Hunks({ hunks }: { hunks: Hunk[] }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: long lines are scrolled with the keyboard
    <div className={css.scroll} tabIndex={0}>
      <table className={css.code}>
        <tbody>
          {hunks.map((hunk) => (
            <HunkRows key={hunk.head} hunk={hunk} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function HunkRows({ hunk }: { hunk: Hunk }) {
  const words = useMemo(() => changedWords(hunk.lines), [hunk]);
  return (
    <>
      <tr className={css.hunk}>
        <td colSpan={4}>{hunk.head}</td>
      </tr>
      {hunk.lines.map((line) => (
        <tr key={`${line.kind}${line.before}:${line.after}`} data-kind={line.kind}>
          <td className={css.number}>{line.before}</td>
          <td className={css.number}>{line.after}</td>
          <td className={css.sign}>{signs[line.kind]}</td>
          <td className={css.text}>
            <Text line={line} span={words.get(line)} />
          </td>
        </tr>
      ))}
    </>
  );
}

function Text({ line, span }: { line: DiffLine; span: Span | undefined }) {
  const text = line.text;
  if (!span) return visible(text);
  return (
    <>
      {visible(text.slice(0, span.start))}
      <mark className={css.word}>{visible(text.slice(span.start, span.end))}</mark>
      {visible(text.slice(span.end))}
    </>
  );
}
