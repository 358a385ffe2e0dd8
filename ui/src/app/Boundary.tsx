/** Keeps a fault in one pane from taking the rest of the screen with it. */
import { Button } from '@mantine/core';
import { Component, type ReactNode } from 'react';
import { Notice } from '../parts/Notice';

interface State {
  fault: Error | null;
}

export class Boundary extends Component<{ children: ReactNode }, State> {
  override state: State = { fault: null };

  static getDerivedStateFromError(fault: Error): State {
    return { fault };
  }

  override render() {
    const { fault } = this.state;
    if (!fault) return this.props.children;
    return (
      <Notice meaning="danger" title="This part of the screen failed">
        <p>{fault.message}</p>
        <Button variant="default" onClick={() => this.setState({ fault: null })}>
          Try again
        </Button>
      </Notice>
    );
  }
}
