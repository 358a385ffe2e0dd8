/** The program around the page: the desktop window where there is one, else the browser. */
import { browser } from './browser';
import type { Platform } from './platform';
import { tauri } from './tauri';

export type { FolderDrop, Platform, Stop, StreamEvents } from './platform';

export const platform: Platform = '__TAURI_INTERNALS__' in globalThis ? tauri : browser;
