/**
 * Shows what an agent wrote. It is data: no HTML of it reaches the page, images are not loaded,
 * and only web and mail links can be followed.
 */
import { memo } from 'react';
import ReactMarkdown, { type Components } from 'react-markdown';
import rehypeSanitize, { defaultSchema } from 'rehype-sanitize';
import remarkGfm from 'remark-gfm';
import { platform } from '../platform';
import css from './Markdown.module.css';

const schema = {
  ...defaultSchema,
  // A picture's address can carry data out of the page, so pictures are only named.
  tagNames: (defaultSchema.tagNames ?? []).filter((name) => name !== 'img'),
  protocols: { href: ['https', 'mailto'] },
};

const components: Components = {
  a: ({ href, children }) =>
    href && /^(https|mailto):/i.test(href) ? (
      <a
        href={href}
        rel="noopener noreferrer"
        onClick={(event) => {
          event.preventDefault();
          platform.openLink(href);
        }}
      >
        {children}
      </a>
    ) : (
      <span>{children}</span>
    ),
  pre: ({ children }) => (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: long lines are scrolled with the keyboard
    <pre tabIndex={0}>{children}</pre>
  ),
  table: ({ children }) => (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a wide table is scrolled with the keyboard
    <div className={css.table} tabIndex={0}>
      <table>{children}</table>
    </div>
  ),
};

export const Markdown = memo(function Markdown({ text }: { text: string }) {
  return (
    <div className={css.text}>
      <ReactMarkdown
        remarkPlugins={[remarkGfm]}
        rehypePlugins={[[rehypeSanitize, schema]]}
        skipHtml
        components={components}
      >
        {text}
      </ReactMarkdown>
    </div>
  );
});
