/** Reads a unified diff as git writes it. Text in, lines out; nothing is fetched or drawn here. */
export interface DiffLine {
  kind: 'same' | 'added' | 'removed' | 'note';
  before: number | null;
  after: number | null;
  text: string;
}

export interface Hunk {
  head: string;
  lines: DiffLine[];
}

export interface FileDiff {
  path: string;
  /** The old path, where the file was moved. */
  from: string | null;
  binary: boolean;
  hunks: Hunk[];
}

const HUNK = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/;

export function readPatch(patch: string): FileDiff[] {
  const files: FileDiff[] = [];
  let file: FileDiff | null = null;
  let hunk: Hunk | null = null;
  let before = 0;
  let after = 0;
  // Lines that the hunk's head announced: only those are content, whatever they look like.
  let left = { before: 0, after: 0 };

  for (const line of patch.split('\n')) {
    if (hunk && (left.before > 0 || left.after > 0)) {
      const text = line.slice(1);
      if (line.startsWith('+')) {
        hunk.lines.push({ kind: 'added', before: null, after: after++, text });
        left.after -= 1;
        continue;
      }
      if (line.startsWith('-')) {
        hunk.lines.push({ kind: 'removed', before: before++, after: null, text });
        left.before -= 1;
        continue;
      }
      if (line.startsWith(' ') || line === '') {
        hunk.lines.push({ kind: 'same', before: before++, after: after++, text });
        left.before -= 1;
        left.after -= 1;
        continue;
      }
    }
    if (line.startsWith('\\') && hunk) {
      hunk.lines.push({ kind: 'note', before: null, after: null, text: line.slice(2) });
      continue;
    }
    if (line.startsWith('diff --git ')) {
      file = { path: pathOf(line), from: null, binary: false, hunks: [] };
      files.push(file);
      hunk = null;
      continue;
    }
    if (!file) continue;
    const head = HUNK.exec(line);
    if (head) {
      before = Number(head[1]);
      after = Number(head[3]);
      left = { before: Number(head[2] ?? 1), after: Number(head[4] ?? 1) };
      hunk = { head: line, lines: [] };
      file.hunks.push(hunk);
    } else if (line.startsWith('+++ ') && line !== '+++ /dev/null') {
      file.path = unquote(line.slice(4)).replace(/^b\//, '');
    } else if (line.startsWith('rename from ')) {
      file.from = unquote(line.slice(12));
    } else if (line.startsWith('rename to ')) {
      file.path = unquote(line.slice(10));
    } else if (line.startsWith('Binary files ') || line.startsWith('GIT binary patch')) {
      file.binary = true;
    }
  }
  return files;
}

/** The new path of `diff --git a/x b/x`; right also for paths with spaces, as both are the same. */
function pathOf(line: string): string {
  const paths = line.slice('diff --git '.length);
  const quoted = /"b\/((?:[^"\\]|\\.)*)"$/.exec(paths);
  if (quoted) return unquote(`"${quoted[1]}"`);
  const half = (paths.length - 1) / 2;
  const second = Number.isInteger(half) ? paths.slice(half + 1) : '';
  if (paths.slice(2, half) === second.slice(2)) return second.slice(2);
  return paths.slice(paths.lastIndexOf(' b/') + 3);
}

/** Git quotes paths with unusual bytes, in octal. A tab may follow an unquoted one. */
function unquote(path: string): string {
  if (!path.startsWith('"')) return path.replace(/\t$/, '');
  const bytes: number[] = [];
  const inner = path.slice(1, path.lastIndexOf('"'));
  const escapes: Record<string, string> = { n: '\n', t: '\t', r: '\r' };
  for (const [piece, octal, simple] of inner.matchAll(/\\([0-7]{3})|\\(.)|[^\\]+/g)) {
    if (octal) bytes.push(Number.parseInt(octal, 8));
    else bytes.push(...new TextEncoder().encode(simple ? (escapes[simple] ?? simple) : piece));
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}
