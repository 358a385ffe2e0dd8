/** What to do about a finding: a sentence in which commands stand between backticks. */
import { Button, CopyButton } from '@mantine/core';
import css from './DoctorPage.module.css';

/** The words and the commands of a sentence, in turn. */
export function parts(text: string): { command: boolean; text: string }[] {
  return text
    .split('`')
    .map((piece, at) => ({ command: at % 2 === 1, text: piece }))
    .filter((piece) => piece.text !== '');
}

export function Fix({ text }: { text: string }) {
  return (
    <span className={css.fix}>
      {parts(text).map((piece) =>
        piece.command ? (
          <span key={piece.text} className={css.command}>
            <code>{piece.text}</code>
            <CopyButton value={piece.text}>
              {({ copied, copy }) => (
                <Button variant="default" h={24} px={8} onClick={copy}>
                  {copied ? 'Copied' : 'Copy'}
                </Button>
              )}
            </CopyButton>
          </span>
        ) : (
          <span key={piece.text}>{piece.text}</span>
        ),
      )}
    </span>
  );
}
