-- Deletes every feature of one entity from sqlite's online table.
delete from {{ table | quoted }} where entity_key = ?
