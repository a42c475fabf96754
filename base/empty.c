typedef int px_empty_translation_unit; /* removed once the folder has sources */
