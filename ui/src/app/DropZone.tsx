/** Takes folders that are dropped on the window, wherever they land. */
import { useEffect, useState } from 'react';
import { platform } from '../platform';
import { say } from './commands';
import css from './DropZone.module.css';
import { show } from './desk';

export function DropZone() {
  const [over, setOver] = useState(false);
  useEffect(
    () =>
      platform.watchDrops?.({
        onOver: () => setOver(true),
        onLeave: () => setOver(false),
        onDrop: ([path, ...others]) => {
          setOver(false);
          if (!path) return;
          if (others.length > 0) {
            say('One folder at a time', `${others.length} more were dropped and left alone.`);
          }
          show({ type: 'folder', path });
        },
      }),
    [],
  );
  if (!over) return null;
  return (
    <div className={css.zone} role="status">
      <p>
        <strong>Drop the project folder</strong>
        <br />
        NEXUS looks at it first and asks you before anything in it is run.
      </p>
    </div>
  );
}
