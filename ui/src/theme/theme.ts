/** Mantine, told to use the tokens. Nothing else in the page names a colour. */
import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from '@mantine/core';
import { cssVariables, dark, light, solid } from './tokens';

// Mantine wants ten shades; buttons use the seventh and eighth, which are the tokens.
const violet: MantineColorsTuple = [
  '#f1edfe',
  '#e2dafb',
  '#c6b3ff',
  '#a58bec',
  '#8f6edb',
  '#8460cd',
  solid.accent,
  solid.accentHover,
  '#54388c',
  '#452e73',
];
const red: MantineColorsTuple = [
  '#ffebe9',
  '#ffd6d2',
  '#ffaba3',
  '#ec8a82',
  '#d8655e',
  '#c25450',
  solid.danger,
  '#972e2d',
  '#7d2625',
  '#641e1d',
];

// Mantine paints fields, borders and disabled buttons from these scales, light to dark.
const greys: MantineColorsTuple = [
  dark.neutral.text,
  '#c9ced8',
  dark.neutral.muted,
  dark.neutral.control,
  dark.neutral.divider,
  dark.neutral.hover,
  dark.neutral.surface,
  dark.neutral.app,
  dark.neutral.app,
  '#0a0c0f',
];

export const theme = createTheme({
  colors: { violet, red, dark: greys },
  primaryColor: 'violet',
  primaryShade: 6,
  fontFamily: "'Inter Variable', system-ui, sans-serif",
  fontFamilyMonospace: "'JetBrains Mono Variable', ui-monospace, monospace",
  fontSizes: { xs: '12px', sm: '13px', md: '14px', lg: '16px', xl: '20px' },
  lineHeights: { xs: '1.45', sm: '1.45', md: '1.45', lg: '1.45', xl: '1.3' },
  spacing: { xs: '8px', sm: '12px', md: '16px', lg: '24px', xl: '32px' },
  radius: { xs: '4px', sm: '6px', md: '8px', lg: '12px', xl: '16px' },
  defaultRadius: 'sm',
  headings: { fontWeight: '600' },
  respectReducedMotion: true,
  cursorType: 'pointer',
  shadows: {
    md: '0 8px 24px rgb(0 0 0 / 0.18)',
    lg: '0 8px 24px rgb(0 0 0 / 0.18)',
    xl: '0 8px 24px rgb(0 0 0 / 0.18)',
  },
  components: {
    Button: {
      defaultProps: { size: 'xs' },
      styles: { root: { height: 30, fontSize: 13, fontWeight: 500 } },
    },
    ActionIcon: { defaultProps: { variant: 'subtle', color: 'gray', size: 28 } },
    Radio: { styles: { label: { fontSize: 13 }, description: { fontSize: 12 } } },
    Switch: { styles: { label: { fontSize: 13 }, description: { fontSize: 12 } } },
    Notification: { defaultProps: { closeButtonProps: { 'aria-label': 'Dismiss' } } },
    Modal: {
      defaultProps: {
        closeButtonProps: { 'aria-label': 'Close' },
        transitionProps: { duration: 120 },
        radius: 'md',
      },
    },
    Drawer: { defaultProps: { transitionProps: { duration: 150 } } },
    Menu: { defaultProps: { transitionProps: { duration: 80 }, shadow: 'md', radius: 'md' } },
    Tooltip: { defaultProps: { transitionProps: { duration: 80 }, openDelay: 400 } },
  },
});

function mantineVariables(scheme: typeof light): Record<string, string> {
  const { neutral, meaning } = scheme;
  return {
    ...cssVariables(scheme),
    '--mantine-color-body': neutral.app,
    '--mantine-color-text': neutral.text,
    '--mantine-color-dimmed': neutral.muted,
    '--mantine-color-placeholder': neutral.muted,
    '--mantine-color-anchor': scheme.accent.text,
    '--mantine-color-default': neutral.surface,
    '--mantine-color-default-hover': neutral.hover,
    '--mantine-color-default-color': neutral.text,
    '--mantine-color-default-border': neutral.control,
    '--mantine-color-error': meaning.danger.text,
    '--mantine-color-gray-light-color': neutral.muted,
    '--mantine-color-gray-light-hover': neutral.hover,
    '--mantine-color-disabled': neutral.hover,
    '--mantine-color-disabled-border': neutral.divider,
    '--mantine-color-disabled-color': neutral.muted,
  };
}

export const resolver: CSSVariablesResolver = () => ({
  variables: {
    '--nx-solid-accent': solid.accent,
    '--nx-solid-danger': solid.danger,
    '--nx-solid-success': solid.success,
  },
  light: mantineVariables(light),
  dark: mantineVariables(dark),
});
