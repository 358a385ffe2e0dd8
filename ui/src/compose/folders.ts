/** Ways in which a folder comes to NEXUS. All of them end at the trust sheet. */
import { sayProblem } from '../app/commands';
import { show } from '../app/desk';
import { platform } from '../platform';

/** Asks for a folder with the system's dialog, or for its path where there is none. */
export async function chooseFolder(): Promise<void> {
  if (!platform.pickFolder) {
    show({ type: 'path' });
    return;
  }
  try {
    const path = await platform.pickFolder();
    if (path) show({ type: 'folder', path });
  } catch (error) {
    sayProblem('The folder could not be chosen', error);
  }
}
