import { describe, expect, it } from 'vitest';
import { contrast } from './contrast';
import { dark, light, roles, type Scheme, solid } from './tokens';

const schemes: [string, Scheme][] = [
  ['light', light],
  ['dark', dark],
];

describe.each(schemes)('%s scheme', (_name, scheme) => {
  const { neutral } = scheme;
  const grounds = [neutral.app, neutral.surface, neutral.raised, neutral.hover];

  it('can be read: text and muted text on every ground', () => {
    for (const ground of grounds) {
      expect(contrast(neutral.text, ground)).toBeGreaterThanOrEqual(7);
      expect(contrast(neutral.muted, ground)).toBeGreaterThanOrEqual(4.5);
    }
  });

  it('can be read: every agent on its tint and on the surfaces', () => {
    for (const role of roles) {
      const tone = scheme.agent[role];
      for (const ground of [tone.tint, neutral.app, neutral.surface, neutral.raised]) {
        expect(contrast(tone.text, ground)).toBeGreaterThanOrEqual(5.1);
        expect(contrast(tone.line, ground)).toBeGreaterThanOrEqual(3);
      }
    }
  });

  it('can be read: every meaning on its tint and on the surfaces', () => {
    for (const tone of [...Object.values(scheme.meaning), scheme.accent]) {
      for (const ground of [tone.tint, neutral.surface, neutral.raised]) {
        expect(contrast(tone.text, ground)).toBeGreaterThanOrEqual(5.1);
      }
    }
  });

  it('can be read: text on the lines and words of a diff', () => {
    for (const ground of Object.values(scheme.diff)) {
      expect(contrast(neutral.text, ground)).toBeGreaterThanOrEqual(5.1);
    }
  });

  it('shows where controls begin', () => {
    for (const ground of [neutral.app, neutral.surface, neutral.raised]) {
      expect(contrast(neutral.control, ground)).toBeGreaterThanOrEqual(3);
    }
  });
});

it('carries white text on every solid', () => {
  for (const ground of Object.values(solid)) {
    expect(contrast('#ffffff', ground)).toBeGreaterThanOrEqual(5.1);
  }
});

it('measures as the WCAG formula does', () => {
  expect(contrast('#000000', '#ffffff')).toBeCloseTo(21, 5);
  expect(contrast('#777777', '#ffffff')).toBeCloseTo(4.48, 2);
});
