/** The menus of a task: all its commands on its card, and the rarer ones on its page. */
import { Menu } from '@mantine/core';
import { Check, Ellipsis } from 'lucide-react';
import type { ReactNode } from 'react';
import type { TaskCard } from '../api/types';
import { actionNames, give, priorities, prioritise, unchain } from '../app/commands';
import { show } from '../app/desk';

interface Props {
  card: TaskCard;
  className: string | undefined;
  label: string;
  /** What stands above the rarer commands. */
  children?: ReactNode;
}

function TaskMenu({ card, className, label, children }: Props) {
  const over = card.state === 'done' || card.state === 'cancelled';
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <button type="button" className={className} aria-label={label}>
          <Ellipsis size={16} aria-hidden />
        </button>
      </Menu.Target>
      <Menu.Dropdown>
        {children}
        {card.waits_for.length > 0 ? (
          <Menu.Item onClick={() => void unchain(card)}>Do not wait</Menu.Item>
        ) : null}
        {over ? null : <Menu.Item onClick={() => show({ type: 'say', card })}>Message…</Menu.Item>}
        <Menu.Item onClick={() => show({ type: 'caps', card })}>Caps…</Menu.Item>
        {over ? null : (
          <>
            <Menu.Divider />
            <Menu.Label>Priority</Menu.Label>
            {priorities.map(({ value, label: name }) => (
              <Menu.Item
                key={value}
                rightSection={
                  card.priority === value ? <Check size={14} aria-label="chosen" /> : null
                }
                onClick={() => void prioritise(card, value)}
              >
                {name}
              </Menu.Item>
            ))}
          </>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}

export function CardMenu(props: { card: TaskCard; className: string | undefined; open(): void }) {
  const { card, className, open } = props;
  return (
    <TaskMenu card={card} className={className} label={`Commands for ${card.name}`}>
      <Menu.Item onClick={open}>Open</Menu.Item>
      {card.actions.map((action) => (
        <Menu.Item key={action} onClick={() => void give(card, action)}>
          {actionNames[action]}
        </Menu.Item>
      ))}
    </TaskMenu>
  );
}

/** On the page the commands themselves are buttons beside it. */
export const PageMenu = (props: { card: TaskCard; className: string | undefined }) => (
  <TaskMenu {...props} label="More commands" />
);
