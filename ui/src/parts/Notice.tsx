/** A few sentences that must not be missed. */
import type { ReactNode } from 'react';
import type { Meaning } from '../theme/tokens';
import css from './Notice.module.css';

interface Props {
  meaning: Meaning | 'plain';
  title?: string;
  children?: ReactNode;
}

export function Notice({ meaning, title, children }: Props) {
  return (
    <div className={css.notice} data-meaning={meaning}>
      {title ? <strong className={css.title}>{title}</strong> : null}
      {children}
    </div>
  );
}
