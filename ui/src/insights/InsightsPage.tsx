/** How well NEXUS does, from the log and from nothing else. What was not measured has no number. */
import { Button, Loader } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { RefreshCw } from 'lucide-react';
import { Fragment, useState } from 'react';
import { api } from '../api/client';
import type { Kpi } from '../api/types';
import { plural, sentence } from '../parts/format';
import { Notice } from '../parts/Notice';
import { Tag } from '../parts/Tag';
import { amount } from './amount';
import css from './Insights.module.css';

export default function InsightsPage() {
  const kpis = useQuery({ queryKey: ['kpis'], queryFn: api.kpis, staleTime: 0 });
  return (
    <div className={css.page}>
      <header className={css.head}>
        <h1 className={css.title}>Insights</h1>
        <Button
          variant="default"
          leftSection={<RefreshCw size={14} aria-hidden />}
          loading={kpis.isFetching}
          onClick={() => void kpis.refetch()}
        >
          Compute again
        </Button>
      </header>
      <p className={css.lead}>
        Computed from the record of what happened; nothing is estimated. Practice tasks are left
        out: they are a recording.
      </p>
      {kpis.error ? (
        <Notice meaning="danger" title="The figures could not be computed">
          {kpis.error.message}
        </Notice>
      ) : null}
      {kpis.isPending ? <Loader size="sm" /> : null}
      {kpis.data ? <Figures kpis={kpis.data} /> : null}
    </div>
  );
}

function Figures({ kpis }: { kpis: Kpi[] }) {
  const [open, setOpen] = useState<string | null>(null);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it is scrolled with the keyboard where it is narrow
    <div className={css.frame} tabIndex={0}>
      <table className={css.table} data-testid="kpis">
        <thead>
          <tr>
            <th scope="col">Figure</th>
            <th scope="col">Value</th>
            <th scope="col">Target</th>
            <th scope="col">Sample</th>
          </tr>
        </thead>
        <tbody>
          {kpis.map((kpi) => (
            <Fragment key={kpi.code}>
              <tr data-testid={`kpi-${kpi.code}`}>
                <th scope="row" className={css.figure}>
                  <span className={css.name}>{kpi.title}</span>
                  <span className={css.note}>{sentence(kpi.formula)}.</span>
                </th>
                <td className={css.value}>
                  <Value kpi={kpi} />
                  {kpi.parts.length > 0 ? (
                    <button
                      type="button"
                      className={css.toggle}
                      aria-expanded={open === kpi.code}
                      onClick={() => setOpen(open === kpi.code ? null : kpi.code)}
                    >
                      {open === kpi.code ? 'Hide the parts' : plural(kpi.parts.length, 'part')}
                    </button>
                  ) : null}
                </td>
                <td className={css.target}>
                  {kpi.target}
                  {kpi.met == null ? null : (
                    <Tag meaning={kpi.met ? 'success' : 'warning'}>
                      {kpi.met ? 'met' : 'missed'}
                    </Tag>
                  )}
                </td>
                <td>{kpi.value == null && kpi.sample === 0 ? '–' : kpi.sample}</td>
              </tr>
              {open === kpi.code
                ? kpi.parts.map((part) => (
                    <tr key={part.title} className={css.part}>
                      <th scope="row">{part.title}</th>
                      <td>{amount(part.value, part.unit)}</td>
                      <td />
                      <td>{part.sample}</td>
                    </tr>
                  ))
                : null}
            </Fragment>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Value({ kpi }: { kpi: Kpi }) {
  const { number, words } = readingOf(kpi);
  return (
    <>
      {number ? (
        <span className={css.number}>{number}</span>
      ) : (
        <span className={css.unmeasured}>not measured yet</span>
      )}
      <span className={css.note}>{words}</span>
    </>
  );
}

/** The number, if there is one, and what the server says of it without repeating it. */
export function readingOf(kpi: Kpi): { number: string | null; words: string } {
  const cut = kpi.text.indexOf(': ');
  return {
    number: kpi.value == null ? null : amount(kpi.value, kpi.unit),
    words: cut < 0 ? kpi.text : kpi.text.slice(cut + 2),
  };
}
