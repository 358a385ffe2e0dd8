/**
 * What the page needs from the program that shows it, the same for the desktop window and a
 * browser tab. How it is done is in `tauri.ts` and `browser.ts`.
 */
import type { Change } from '../api/types';

export interface StreamEvents {
  /** Changes in order, as they come. */
  onChanges(changes: Change[]): void;
  /** The stream is up. */
  onOpen(): void;
  /** The stream ended. The caller decides when to subscribe again. */
  onLost(reason: string): void;
}

export interface FolderDrop {
  /** Folders or files are held over the window, at this point of the page. */
  onOver(x: number, y: number): void;
  onDrop(paths: string[], x: number, y: number): void;
  onLeave(): void;
}

export type Stop = () => void;

export interface Platform {
  readonly kind: 'desktop' | 'browser';
  /** Carries one API request. Same meaning as the global `fetch`. */
  fetch(request: Request): Promise<Response>;
  /** Listens to the changes after `since`. */
  subscribe(since: number, events: StreamEvents): Stop;
  /** Asks the person for a folder; `null` when they cancelled. Absent where there is no dialog. */
  pickFolder?(): Promise<string | null>;
  /** Tells of folders dragged over the window. Absent where paths are not given to pages. */
  watchDrops?(drop: FolderDrop): Stop;
  /** Opens a web link outside of the page. */
  openLink(url: string): void;
}
