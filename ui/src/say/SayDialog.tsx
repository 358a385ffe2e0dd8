/** Writing to somebody from wherever they are seen. */
import { Modal } from '@mantine/core';
import { useEffect } from 'react';
import type { TaskCard } from '../api/types';
import { say } from '../app/commands';
import { close } from '../app/desk';
import { SayForm } from './SayForm';
import { keepSaying, saying } from './saying';
import { type Recipient, recipients } from './words';

export default function SayDialog({ card, to }: { card: TaskCard; to?: Recipient | undefined }) {
  useEffect(() => {
    if (to) keepSaying(card.id, { to });
  }, [card.id, to]);
  return (
    <Modal opened onClose={close} title={`Write to the team of ${card.name}`} size="lg">
      <SayForm
        card={card}
        focus
        onSent={() => {
          const { to: sent } = saying(card.id);
          const who = recipients.find((each) => each.value === sent)?.label ?? sent;
          say(`Sent to ${who}`, `What becomes of it stands in the messages of ${card.name}.`);
          close();
        }}
      />
    </Modal>
  );
}
