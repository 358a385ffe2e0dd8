import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { fakeServer } from './dev/server.ts';

export default defineConfig(({ mode }) => ({
  plugins: [react(), ...(mode === 'fake' ? [fakeServer()] : [])],
  clearScreen: false,
  server: {
    host: '127.0.0.1',
    port: 1420,
    strictPort: true,
    // A browser tab in development talks to a running `nexus serve`.
    ...(mode === 'fake'
      ? {}
      : { proxy: { '/api': process.env.NEXUS_SERVE_URL ?? 'http://127.0.0.1:4517' } }),
  },
  build: {
    // WebKitGTK 2.40 and the WebView2 and WKWebView of the same age.
    target: ['safari16.4', 'chrome111'],
    // The content security policy forbids data: fonts, and small scripts gain nothing inline.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
    reportCompressedSize: false,
  },
  test: {
    include: ['src/**/*.test.{ts,tsx}', 'tests/**/*.test.{ts,tsx}'],
    environment: 'node',
    restoreMocks: true,
    // The first jsdom file of a run loads the component library, which takes a while on two cores.
    testTimeout: 30_000,
  },
}));
